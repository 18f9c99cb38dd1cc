//! Requests about EC2 key pairs.

use super::Obtained;
use super::piv::refusal;
use crate::ask::{Audience, Listener, Notice};
use crate::aws::{KeyPair, KeyPairType};
use crate::device::{Error as DeviceError, Thing, piv};
use crate::jobs::keypair::{self, Account, Encrypted, Known, PublicHalf, Regional, Rotated, Wanted, region_row};
use crate::jobs::{self, ssh_key};
use crate::server::Server;
use crate::server::card::{CardKeys, Errand};
use crate::server::conversation::Conversation;
use crate::server::fault::{self, Subject};
use crate::server::lock::blocking;
use crate::session::Delivery;
use crate::ssh::key::{self, CardKey, Ec2Fitness, unpad};
use crate::vault::SshKey;
use claviger::model::{Arn, AuditAws, InstanceId, Name, Partition, PivSlot, Region};
use claviger::secret::{ConsolePassword, SecretText};
use claviger::wire::{
    AgentMessage, Code, Event, Fault, InstancePassword, KeypairCreate, KeypairDeed, KeypairDelete, KeypairImport,
    KeypairKind, KeypairOutcome, KeypairPassword, KeypairRegion, KeypairRotate, KeypairRow, KeypairScope,
    KeypairSource, Reply, Request, SshKeyOptions,
};
use data_encoding::HEXLOWER;
use std::future::Future;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most bytes of the rows of one event, about: with the longest row they fit in a line of the protocol.
const ROWS_LIMIT: usize = 96 * 1024;

/// Who asks, where, and whose faults they are.
struct Reach {
    account: Account,
    regions: Vec<Region>,
    subject: Arc<Subject>,
}

impl Server {
    pub(super) async fn keypair_request(
        self: &Arc<Self>,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        self.open_by_keyring().await;
        self.custody.require_unlocked().map_err(fault::vault)?;
        match request {
            Request::KeypairCreate(create) => self.keypair_create(create, conversation).await,
            Request::KeypairDelete(delete) => self.keypair_delete(delete, conversation).await,
            Request::KeypairImport(import) => self.keypair_import(import, conversation).await,
            Request::KeypairList(scope) => self.keypair_list(&scope, conversation).await,
            Request::KeypairPassword(password) => self.keypair_password(password, conversation).await,
            Request::KeypairRotate(rotate) => self.keypair_rotate(rotate, conversation).await,
            _ => Err(fault::internal()),
        }
    }

    /// The profile's session, and the regions that are meant.
    async fn reach(self: &Arc<Self>, scope: &KeypairScope, conversation: &mut Conversation) -> Result<Reach, Fault> {
        let profile = &scope.profile;
        let subject = Arc::new(self.subject(profile, conversation));
        let Obtained { session, region } = self.session(profile, Delivery::Refreshing, conversation).await?;
        let access_key_id = Some(session.access_key_id.to_string());
        conversation.aws = Some(AuditAws { access_key_id, ..AuditAws::default() });
        let partition = session.principal.parse::<Arn>().ok().and_then(|arn| Partition::by_id(arn.partition()));
        let profiles = self.files.load().map_err(fault::files)?;
        let account = Account::new(self.office.clone(), session, profiles, profile.clone());
        let regions = if scope.all_regions {
            let from = region.unwrap_or_else(|| partition.unwrap_or_else(Partition::commercial).region());
            account.regions(&from).await.map_err(|error| fault::keypair::of(&error, &subject))?
        } else if scope.regions.is_empty() {
            vec![region.ok_or_else(|| fault::keypair::no_region(profile))?]
        } else {
            let mut regions: Vec<Region> = Vec::new();
            for region in &scope.regions {
                if !regions.contains(region) {
                    regions.push(region.clone());
                }
            }
            regions
        };
        if regions.len() > keypair::REGIONS_LIMIT {
            return Err(fault::job(jobs::Error::KeypairInvalid("a request names 100 regions at most")));
        }
        Ok(Reach { account, regions, subject })
    }

    async fn keypair_list(
        self: &Arc<Self>,
        scope: &KeypairScope,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let Reach { account, regions, subject } = self.reach(scope, conversation).await?;
        let work = |listener: Listener| async move {
            let heard = heard(listener, regions.len());
            keypair::list(&account, &regions, &heard).await
        };
        let listing = conversation.attend(self, work).await;
        let (private, custody) = (listing.needs_private(), self.custody.clone());
        let keys = move || custody.with_items(|items| Known::of_vault(items, private));
        let mut known = blocking(conversation.leave.clone(), keys).await.map_err(fault::vault)?;
        known.extend(self.card_keys().await.iter().flat_map(known_cards));
        let (rows, regions) = listing.rows(&known);
        let rows_of = |(region, error): (Region, Option<jobs::Error>)| KeypairRegion {
            fault: error.map(|error| fault::keypair::of(&error, &subject)),
            ..region_row(region)
        };
        let regions: Vec<_> = regions.into_iter().map(rows_of).collect();
        // What a region shows is worth seeing, even where each of them failed at something.
        let outcome = if rows.is_empty() { outcome(regions) } else { Ok(whole(regions)) }?;
        for page in pages(rows) {
            conversation.send(AgentMessage::Event(Event::Keypairs { rows: page })).await;
        }
        Ok(Reply::Keypairs(outcome))
    }

    async fn keypair_create(
        self: &Arc<Self>,
        create: KeypairCreate,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let KeypairCreate { profile, region, name, kind, key, tags, options } = create;
        const RULE: &str = "the vault cannot have a key of the pair's name: give it one of its own";
        let key = match key {
            Some(key) => key,
            None => name.as_str().parse().map_err(|_| {
                fault::job(jobs::Error::KeypairInvalid(RULE)).hint("claviger keypair create NAME --key KEY")
            })?,
        };
        let kind = match kind {
            KeypairKind::Ed25519 => KeyPairType::Ed25519,
            KeypairKind::Rsa => KeyPairType::Rsa,
        };
        let tags = keypair::tags(&tags).map_err(fault::job)?;
        self.ssh_key_is_free(&key)
            .map_err(|fault| fault::keypair::key_exists(fault, (&name, &key), region.as_ref()))?;
        let scope = KeypairScope { profile, regions: region.into_iter().collect(), all_regions: false };
        let Reach { account, regions, subject } = self.reach(&scope, conversation).await?;
        let region = regions.into_iter().next().ok_or_else(fault::internal)?;
        let (server, around) = (self.clone(), self.surroundings());
        // To its end, whoever leaves meanwhile.
        let made = to_the_end(async move {
            let _turn = server.keypairs.lock().await;
            let wanted = Wanted { name, kind, tags, key, options };
            let made = keypair::create(&account, &server.custody, &region, &wanted, &around).await;
            let (id, row) = match made {
                Ok(made) => made,
                Err(error) => return Err(fault::keypair::of(&account.explain(&region, error).await, &subject)),
            };
            let deed = Some(KeypairDeed::Created);
            let regions = vec![KeypairRegion { deed, id: Some(id), ..region_row(region) }];
            Ok(KeypairOutcome { key: Some(row), ..whole(regions) })
        });
        made.await.map(Reply::Keypairs)
    }

    async fn keypair_import(
        self: &Arc<Self>,
        import: KeypairImport,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let KeypairImport { scope, name, key, tags } = import;
        let tags = keypair::tags(&tags).map_err(fault::job)?;
        let public = self.public_half(&key).await?;
        let Reach { account, regions, subject } = self.reach(&scope, conversation).await?;
        let work = |listener: Listener| {
            to_the_end(async move {
                let heard = heard(listener, regions.len());
                let found = keypair::import(&account, &regions, (&name, &public), &tags, &heard).await;
                outcome(rows(found, &subject, |(id, deed)| (Some(id), Some(deed), None)))
            })
        };
        conversation.attend(self, work).await.map(Reply::Keypairs)
    }

    async fn keypair_rotate(
        self: &Arc<Self>,
        rotate: KeypairRotate,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let KeypairRotate { scope, name, kind, force } = rotate;
        let Reach { account, regions, subject } = self.reach(&scope, conversation).await?;
        let (asking, wanted, asked) = (account.clone(), name.clone(), regions.clone());
        let look = |listener: Listener| async move {
            let heard = heard(listener, asked.len());
            keypair::find(&asking, &asked, (&wanted, false), &heard).await
        };
        // Where there is no pair of the name none is made; but for what a run before this has left.
        let (mut standing, mut unseen) = (Vec::new(), Vec::new());
        for (region, found) in conversation.attend(self, look).await {
            match found {
                Ok(found) => standing.extend(found.pair.map(|pair| (region, pair))),
                Err(error) => unseen.push((region, Err::<Rotated, _>(error))),
            }
        }
        let holders = self.holders(&standing, conversation).await?;
        let foreign = standing.iter().zip(&holders).filter(|(_, holders)| holders.is_empty());
        let foreign: Vec<Region> = foreign.map(|((region, _), _)| region.clone()).collect();
        if !foreign.is_empty() && !force {
            agreed(conversation, fault::keypair::not_ours(&name, &foreign), "Replace it?").await?;
        }
        let kind = kind.unwrap_or_else(|| keypair::kind_of(standing.iter().map(|(_, pair)| pair)));
        let (server, all) = (self.clone(), scope.all_regions);
        let work = |listener: Listener| {
            to_the_end(async move {
                let _turn = server.keypairs.lock().await;
                let failed = |error: jobs::Error| fault::keypair::of(&error, &subject);
                let heard = heard(listener, regions.len());
                let nothing_seen = standing.is_empty() && !unseen.is_empty();
                let (around, now) = (server.surroundings(), server.world.clock.wall());
                let make = move |name: &Name| ssh_key::generate(kind, name, &SshKeyOptions::default(), &around);
                let standing = standing.into_iter().map(|(region, _)| region).collect();
                let scope = keypair::Scope { standing, asked: regions, named: !scope.regions.is_empty() };
                let begun = keypair::begin(server.custody.clone(), name, scope, make, now).await;
                let told = |one: Rotated| (Some(one.id), Some(one.deed), Some(one.instance_count));
                let rotation = match begun {
                    // What keeps the pairs from being seen says more.
                    Err(jobs::Error::KeypairNotFound(..)) if nothing_seen => {
                        return outcome(rows(unseen, &subject, told));
                    }
                    begun => begun.map_err(failed)?,
                };
                let mut found = keypair::rotate(&account, &rotation, &heard).await;
                found.extend(unseen.into_iter().filter(|(region, _)| !rotation.regions.contains(region)));
                let to_trash = all && Rotated::nobody_needs_old(found.iter().filter_map(|(_, one)| one.as_ref().ok()));
                let regions_that = |ended: bool| {
                    let ended = found.iter().filter(|(_, one)| one.is_ok() == ended);
                    ended.map(|(region, _)| region.clone()).collect::<Vec<_>>()
                };
                let (done, undone) = (regions_that(true), regions_that(false));
                let rows = rows(found, &subject, told);
                let mut waiting =
                    keypair::advance(server.custody.clone(), &rotation, done, now).await.map_err(failed)?;
                for region in undone {
                    if !waiting.regions.contains(&region) {
                        waiting.regions.push(region);
                    }
                }
                let mut kept: Vec<KeypairSource> = Vec::new();
                for source in holders.into_iter().flatten() {
                    if !kept.contains(&source) && source != KeypairSource::Vault(waiting.key.clone()) {
                        kept.push(source);
                    }
                }
                if !waiting.regions.is_empty() {
                    // The next run goes on where this one ended.
                    return Ok(KeypairOutcome { kept, waiting: Some(waiting), ..outcome(rows)? });
                }
                let done = keypair::finish(server.custody.clone(), &rotation, to_trash, now).await;
                let (row, renamed, trashed) = done.map_err(failed)?;
                kept.retain(|source| *source != KeypairSource::Vault(row.name.clone()));
                kept.extend(renamed.map(KeypairSource::Vault));
                let trashed = if trashed { vec![row.name.clone()] } else { Vec::new() };
                Ok(KeypairOutcome { key: Some(row), trashed, kept, ..whole(rows) })
            })
        };
        conversation.attend(self, work).await.map(Reply::Keypairs)
    }

    /// Where the private halves of these pairs are.
    async fn holders(
        self: &Arc<Self>,
        pairs: &[(Region, KeyPair)],
        conversation: &Conversation,
    ) -> Result<Vec<Vec<KeypairSource>>, Fault> {
        let private = pairs.iter().any(|(_, pair)| pair.public.is_none());
        let custody = self.custody.clone();
        let keys = move || custody.with_items(|items| Known::of_vault(items, private));
        let mut known = blocking(conversation.leave.clone(), keys).await.map_err(fault::vault)?;
        if pairs.iter().any(|(_, pair)| known.iter().all(|key| !key.is_of(pair))) {
            known.extend(self.card_keys().await.iter().flat_map(known_cards));
        }
        let held = |(_, pair): &(Region, KeyPair)| {
            known.iter().filter(|key| key.is_of(pair)).map(|key| key.place.clone()).collect()
        };
        Ok(pairs.iter().map(held).collect())
    }

    async fn keypair_delete(
        self: &Arc<Self>,
        delete: KeypairDelete,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let KeypairDelete { scope, name, with_key, force } = delete;
        let Reach { account, regions, subject } = self.reach(&scope, conversation).await?;
        let (asked, wanted) = (account.clone(), name.clone());
        let look = |listener: Listener| async move {
            let heard = heard(listener, regions.len());
            keypair::find(&asked, &regions, (&wanted, !force), &heard).await
        };
        let found = conversation.attend(self, look).await;
        if found.iter().all(|(_, one)| one.as_ref().is_ok_and(|one| one.pair.is_none())) {
            let asked = found.into_iter().map(|(region, _)| region).collect();
            return Err(fault::job(jobs::Error::KeypairNotFound(name, asked)));
        }
        let used = found.iter().filter_map(|(_, one)| one.as_ref().ok()).map(|one| one.instance_count).sum();
        if used > 0 && !force {
            let refusal = fault::keypair::in_use(&name, used);
            let and_key = if with_key { " and its key in the vault" } else { "" };
            agreed(conversation, refusal, &format!("Delete it{and_key}?")).await?;
        }
        let server = self.clone();
        let work = |listener: Listener| {
            to_the_end(async move {
                let heard = heard(listener, found.len());
                let mut gone = Vec::new();
                let deleted = keypair::delete(&account, found, &heard).await;
                let rows = rows(deleted, &subject, |(pair, used, deed)| {
                    let id = pair.as_ref().map(|pair| pair.id.clone());
                    gone.extend(pair);
                    (id, Some(deed), Some(used))
                });
                let outcome = outcome(rows)?;
                let gone = if with_key { gone } else { Vec::new() };
                let now = server.world.clock.wall();
                let trashed = keypair::trash_keys(server.custody.clone(), gone, now).await.map_err(fault::job)?;
                Ok(KeypairOutcome { trashed, ..outcome })
            })
        };
        conversation.attend(self, work).await.map(Reply::Keypairs)
    }

    async fn keypair_password(
        self: &Arc<Self>,
        request: KeypairPassword,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let KeypairPassword { profile, region, instance, key } = request;
        let scope = KeypairScope { profile, regions: region.into_iter().collect(), all_regions: false };
        let Reach { account, regions, subject } = self.reach(&scope, conversation).await?;
        let region = regions.first().ok_or_else(fault::internal)?;
        let encrypted = match keypair::fetch(&account, region, &instance).await {
            Ok(encrypted) => encrypted,
            Err(error) => return Err(fault::keypair::of(&account.explain(region, error).await, &subject)),
        };
        let password = match key {
            Some(KeypairSource::Card { device, slot }) => {
                let (keys, key) = self.key_of_card(device, slot).await?;
                self.password_by_card((&keys, &key), &instance, &encrypted, conversation).await?
            }
            Some(KeypairSource::Vault(name)) => {
                let key = self.with_ssh_key(&name, SshKey::clone)?;
                self.password_by_vault(vec![key], &encrypted, conversation).await?
            }
            None => {
                let all = |items: &crate::vault::Items| items.ssh_keys.values().cloned().collect();
                let keys: Vec<SshKey> = self.custody.with_items(all).map_err(fault::vault)?;
                match self.password_by_vault(keys, &encrypted, conversation).await {
                    Err(missing) if missing.code == Code::KeypairKeyMissing => {
                        match self.card_of_launch(&encrypted).await {
                            Some((keys, key)) => {
                                self.password_by_card((&keys, &key), &instance, &encrypted, conversation).await?
                            }
                            None => return Err(missing),
                        }
                    }
                    outcome => outcome?,
                }
            }
        };
        Ok(Reply::InstancePassword(InstancePassword { password }))
    }

    async fn password_by_vault(
        &self,
        keys: Vec<SshKey>,
        encrypted: &Encrypted,
        conversation: &Conversation,
    ) -> Result<ConsolePassword, Fault> {
        let missing = || fault::job(jobs::Error::KeypairKeyMissing(encrypted.pair.clone()));
        let copy =
            Encrypted { data: encrypted.data.clone(), pair: encrypted.pair.clone(), public: encrypted.public.clone() };
        let work = move || Ok(keypair::decrypt(&keys, &copy));
        let found = blocking(conversation.leave.clone(), work).await.map_err(fault::vault)?;
        found.map_err(fault::job)?.ok_or_else(missing)
    }

    /// By a card, which may want its PIN and a touch.
    async fn password_by_card(
        self: &Arc<Self>,
        (keys, key): (&Arc<CardKeys>, &piv::Key),
        instance: &InstanceId,
        encrypted: &Encrypted,
        conversation: &mut Conversation,
    ) -> Result<ConsolePassword, Fault> {
        let missing = || fault::job(jobs::Error::KeypairKeyMissing(encrypted.pair.clone()));
        let modulus = match &key.public {
            piv::PublicKey::Rsa { modulus, .. } => modulus.0.len(),
            piv::PublicKey::Point(_) => 0,
        };
        // A card that is given something else says no more than that it will not.
        if modulus != encrypted.data.len() {
            return Err(missing());
        }
        let peer = conversation.peer.with_parents();
        let purpose = format!("To decrypt the password of {instance}.");
        let work = |listener: Listener| async move {
            let errand = Errand::new(purpose, &peer, Audience::of(listener));
            self.card_decrypt(keys, key, &encrypted.data, &errand).await
        };
        let secret = conversation.attend(self, work).await.map_err(|error| refusal(error, &keys.card))?;
        let block = HEXLOWER.decode(secret.expose().as_bytes()).map(Zeroizing::new).map_err(|_| fault::internal())?;
        let plain = unpad(&block).map_err(|_| missing())?;
        keypair::password(plain).map_err(|_| missing())
    }

    /// The card with the key that the instance was launched with.
    async fn card_of_launch(self: &Arc<Self>, encrypted: &Encrypted) -> Option<(Arc<CardKeys>, piv::Key)> {
        let public = encrypted.public.as_ref()?;
        let cards = self.card_keys().await;
        cards.iter().find_map(|keys| {
            let is_it =
                |key: &&piv::Key| CardKey::new(key.algorithm, &key.public).is_ok_and(|key| key.blob() == public);
            keys.keys.iter().find(is_it).map(|key| (keys.clone(), key.clone()))
        })
    }

    async fn public_half(self: &Arc<Self>, source: &KeypairSource) -> Result<PublicHalf, Fault> {
        match source {
            KeypairSource::Vault(name) => {
                let public = self.custody.with_items(|items| keypair::public_of(items, name)).map_err(fault::vault)?;
                public.map_err(fault::job)
            }
            KeypairSource::Card { device, slot } => {
                let (_, key) = self.key_of_card(*device, *slot).await?;
                let public = CardKey::new(key.algorithm, &key.public).map_err(|error| match error {
                    key::Error::UnsupportedType { .. } => jobs::Error::KeypairUnsupported(Ec2Fitness::WrongType),
                    error => error.into(),
                });
                public.and_then(|public| PublicHalf::new(public.blob())).map_err(fault::job)
            }
        }
    }

    /// A key of a card, as the card tells it now.
    async fn key_of_card(
        self: &Arc<Self>,
        device: Option<u32>,
        slot: PivSlot,
    ) -> Result<(Arc<CardKeys>, piv::Key), Fault> {
        let card = self.piv_card(device).await?;
        let keys = self.read_keys(card).await.map_err(|error| fault::device::fault(&error, None))?;
        let key = keys.keys.iter().find(|key| key.slot == slot).cloned();
        let key = key.ok_or_else(|| fault::device::fault(&DeviceError::NotThere(Thing::Key), None))?;
        Ok((keys, key))
    }
}

fn known_cards(keys: &Arc<CardKeys>) -> Vec<Known> {
    let serial = keys.card.info.serial;
    let known = |key: &piv::Key| {
        let public = CardKey::new(key.algorithm, &key.public).ok()?;
        Some(Known::of_card(serial, key.slot, public.blob()))
    };
    keys.keys.iter().filter_map(known).collect()
}

/// Asks the person at the client whether to go on. Where nobody can answer, the refusal itself.
async fn agreed(conversation: &mut Conversation, refusal: Fault, question: &str) -> Result<(), Fault> {
    if !conversation.answerable {
        return Err(refusal);
    }
    match conversation.agrees(&format!("{}. {question} [y/N]", refusal.message)).await {
        true => Ok(()),
        false => Err(fault::keypair::declined()),
    }
}

/// Tells the client how many regions have answered.
fn heard(listener: Listener, of: usize) -> impl Fn(usize) + Send + Sync {
    // One is no news.
    move |done| {
        if of > 1 {
            listener.tell(Notice::RegionsDone { done, of });
        }
    }
}

/// Runs work in a task of its own: it is not cut off where the client leaves, and nothing is half done.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(fault::internal()))
}

type Told = (Option<String>, Option<KeypairDeed>, Option<usize>);

fn rows<T>(found: Vec<Regional<T>>, subject: &Subject, mut told: impl FnMut(T) -> Told) -> Vec<KeypairRegion> {
    let mut row = |(region, outcome): Regional<T>| match outcome {
        Ok(one) => {
            let (id, deed, instance_count) = told(one);
            KeypairRegion { id, deed, instance_count, ..region_row(region) }
        }
        Err(error) => KeypairRegion { fault: Some(fault::keypair::of(&error, subject)), ..region_row(region) },
    };
    found.into_iter().map(&mut row).collect()
}

/// What has failed everywhere has failed.
fn outcome(regions: Vec<KeypairRegion>) -> Result<KeypairOutcome, Fault> {
    match regions.iter().all(|region| region.fault.is_some()) {
        true => match regions.into_iter().find_map(|region| region.fault) {
            Some(fault) => Err(fault),
            None => Ok(whole(Vec::new())),
        },
        false => Ok(whole(regions)),
    }
}

fn whole(regions: Vec<KeypairRegion>) -> KeypairOutcome {
    KeypairOutcome { regions, key: None, trashed: Vec::new(), kept: Vec::new(), waiting: None }
}

/// The rows, as many at a time as fit in a line.
fn pages(rows: Vec<KeypairRow>) -> Vec<Vec<KeypairRow>> {
    let mut pages: Vec<Vec<KeypairRow>> = Vec::new();
    let mut bytes = ROWS_LIMIT;
    for row in rows {
        let length = serde_json::to_vec(&row).map_or(ROWS_LIMIT, |row| row.len());
        bytes = bytes.saturating_add(length);
        match pages.last_mut() {
            Some(page) if bytes <= ROWS_LIMIT => page.push(row),
            _ => {
                pages.push(vec![row]);
                bytes = length;
            }
        }
    }
    pages
}
