//! Key pairs: names for public keys, of one region each.

use super::filter::Filters;
use super::{allow, arn, authorize, context_of, invalid, required, tag};
use crate::call::{Call, Outcome};
use crate::query::Parameters;
use crate::reply::{Refusal, Xml};
use crate::ssh_key::{PrivateKey, PublicKey};
use crate::time;
use crate::world::region::{KeyPair, Tags};
use data_encoding::BASE64;

/// Lengths of RSA keys that ImportKeyPair takes, in bits (EC2 user guide, requirements for key pairs).
const RSA_BITS: [usize; 3] = [1024, 2048, 4096];

/// CreateKeyPair: the private key is in this one reply, and nowhere else.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let name = new_name(parameters)?;
    let kind = one_of(parameters, "KeyType", &["rsa", "ed25519"])?;
    let format = one_of(parameters, "KeyFormat", &["pem", "ppk"])?;
    let tags = tag::of_new_key_pair(parameters)?;
    allow_new(call, "CreateKeyPair", name, &tags)?;
    room_for(call, name)?;
    let made = if kind == "rsa" { PrivateKey::new_rsa() } else { PrivateKey::new_ed25519(call.entropy) };
    let material = made.as_ref().and_then(|made| match format {
        "pem" => Some(made.pem(call.entropy)),
        _ => made.ppk(name),
    });
    let known = made.and_then(|made| Some((made.public()?, made.created_fingerprint()?)));
    let (Some(material), Some((key, fingerprint))) = (material, known) else {
        return Err(Refusal::new(500, "InternalError", "An internal error has occurred"));
    };
    keep(call, name, key, fingerprint, tags, Some(&material))
}

/// ImportKeyPair.
pub(super) fn import(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let name = new_name(parameters)?;
    let base64 = required(parameters, "PublicKeyMaterial")?;
    let tags = tag::of_new_key_pair(parameters)?;
    allow_new(call, "ImportKeyPair", name, &tags)?;
    let key = BASE64
        .decode(base64.as_bytes())
        .ok()
        .and_then(|material| PublicKey::read(&material))
        .filter(|key| key.rsa_bits().is_none_or(|bits| RSA_BITS.contains(&bits)))
        .ok_or_else(|| Refusal::new(400, "InvalidKey.Format", "Key is not in valid OpenSSH public key format"))?;
    room_for(call, name)?;
    let fingerprint = key.imported_fingerprint();
    keep(call, name, key, fingerprint, tags, None)
}

/// DescribeKeyPairs: everything at once, there are no pages.
pub(super) fn describe(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let filters = Filters::read(parameters, &["fingerprint", "key-name", "key-pair-id", "tag-key"])?;
    let (names, ids) = (parameters.numbered("KeyName", ""), parameters.numbered("KeyPairId", ""));
    let with_public_key = parameters.flag("IncludePublicKey")?.unwrap_or(false);
    allow(call, "ec2:DescribeKeyPairs", "*", &call.context())?;
    let pairs: Vec<&KeyPair> = match call.world.ec2.regions.get(&call.region) {
        Some(region) => region.key_pairs.values().collect(),
        None => Vec::new(),
    };
    if let Some(name) = names.iter().find(|name| pairs.iter().all(|pair| pair.name != **name)) {
        return Err(unknown("key pair", name));
    }
    if let Some(id) = ids.iter().find(|id| pairs.iter().all(|pair| pair.id != **id)) {
        return Err(unknown("key pair ID", id));
    }
    let wanted = |pair: &&&KeyPair| {
        (names.is_empty() || names.contains(&pair.name.as_str()))
            && (ids.is_empty() || ids.contains(&pair.id.as_str()))
            && filters.pass(&pair.tags, |property| match property {
                "fingerprint" => Some(&pair.fingerprint),
                "key-name" => Some(&pair.name),
                _ => Some(&pair.id),
            })
    };
    let mut xml = Xml::default();
    xml.nest("keySet", |xml| {
        for pair in pairs.iter().filter(wanted) {
            xml.nest("item", |xml| {
                xml.text("keyPairId", &pair.id)
                    .text("keyName", &pair.name)
                    .text("keyType", pair.key.kind())
                    .text("keyFingerprint", &pair.fingerprint);
                if with_public_key {
                    xml.text("publicKey", pair.key.line(&pair.name));
                }
                xml.text("createTime", time::iso8601_millis(pair.created));
                tag::write(xml, &pair.tags);
            });
        }
    });
    Ok(Some(xml))
}

/// DeleteKeyPair: succeeds where there is none of this name or id.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let (name, id) = (parameters.text("KeyName"), parameters.text("KeyPairId"));
    if name.is_none() && id.is_none() {
        required(parameters, "KeyName")?;
    }
    let named = |pair: &&KeyPair| name.is_none_or(|name| pair.name == name) && id.is_none_or(|id| pair.id == id);
    let region = call.world.ec2.regions.get(&call.region);
    let found = region.and_then(|region| region.key_pairs.values().find(named));
    let (resource, tags) = match found {
        Some(pair) => (pair.name.clone(), pair.tags.clone()),
        None => (name.unwrap_or("*").to_owned(), Tags::new()),
    };
    let found = found.map(|pair| (pair.name.clone(), pair.id.clone()));
    allow(call, "ec2:DeleteKeyPair", &arn(call, &format!("key-pair/{resource}")), &context_of(call, &tags))?;
    let mut xml = Xml::default();
    xml.text("return", "true");
    if let Some((name, id)) = found {
        call.world.ec2.region(&call.region).key_pairs.remove(&name);
        xml.text("keyPairId", id);
    }
    Ok(Some(xml))
}

/// The answer to a key pair that is not there.
pub(super) fn unknown(what: &str, name: &str) -> Refusal {
    Refusal::new(400, "InvalidKeyPair.NotFound", format!("The {what} '{name}' does not exist"))
}

/// Up to 255 ASCII characters, no space at either end.
fn new_name(parameters: &Parameters) -> Result<&str, Refusal> {
    let name = required(parameters, "KeyName")?;
    if name.len() > 255 {
        return Err(invalid("keyName", name, "Length exceeds maximum of 255."));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(invalid("keyName", name, "Character sets beyond ASCII are not supported."));
    }
    if name.trim() != name {
        return Err(invalid("keyName", name, "It must not begin or end with a space."));
    }
    Ok(name)
}

/// A parameter with these values, the first of which is meant where it is missing.
fn one_of<'a>(parameters: &'a Parameters, name: &str, values: &[&'a str]) -> Result<&'a str, Refusal> {
    match (parameters.text(name), values.first()) {
        (Some(value), _) if values.contains(&value) => Ok(value),
        (None, Some(first)) => Ok(first),
        (value, _) => Err(invalid(name, value.unwrap_or_default(), &format!("Valid values: {}.", values.join(", ")))),
    }
}

/// Permission to make a pair, and to tag it where tags come along.
fn allow_new(call: &Call<'_>, action: &str, name: &str, tags: &Tags) -> Result<(), Refusal> {
    let resource = arn(call, &format!("key-pair/{name}"));
    if !tags.is_empty() {
        let mut context = tag::asked(call.context(), tags);
        context.set("ec2:CreateAction", action);
        authorize(call, "ec2:CreateTags", &resource, &context)?;
    }
    allow(call, &format!("ec2:{action}"), &resource, &tag::asked(call.context(), tags))
}

fn room_for(call: &mut Call<'_>, name: &str) -> Result<(), Refusal> {
    let quota = call.world.ec2.key_pair_quota;
    let pairs = &call.world.ec2.region(&call.region).key_pairs;
    if pairs.contains_key(name) {
        return Err(Refusal::new(400, "InvalidKeyPair.Duplicate", "The keypair already exists"));
    }
    if pairs.len() >= quota {
        let message = format!("Maximum of {quota} keypairs reached.");
        return Err(Refusal::new(400, "KeyPairLimitExceeded", message));
    }
    Ok(())
}

fn keep(
    call: &mut Call<'_>,
    name: &str,
    key: PublicKey,
    fingerprint: String,
    tags: Tags,
    material: Option<&str>,
) -> Outcome {
    let id = call.entropy.resource_id("key");
    let mut xml = Xml::default();
    xml.text("keyPairId", &id).text("keyName", name).text("keyFingerprint", &fingerprint);
    if let Some(material) = material {
        xml.text("keyMaterial", material);
    }
    tag::write(&mut xml, &tags);
    let pair = KeyPair { id, name: name.to_owned(), key, fingerprint, created: call.now, tags };
    call.world.ec2.region(&call.region).key_pairs.insert(name.to_owned(), pair);
    Ok(Some(xml))
}
