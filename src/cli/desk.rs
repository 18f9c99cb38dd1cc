//! Where a verb meets the agent: connects, starts it, answers its questions, and opens the vault when a person is there.

use super::args::Proof;
use super::exit::Failure;
use super::intake;
use super::questions::Questions;
use super::terminal::Terminal;
use super::ui::{self, Progress};
use crate::VERSION;
use crate::client::{Attendant, Client, Heard};
use crate::model::{Label, Message, Region};
use crate::paths::Paths;
use crate::secret::{Passphrase, RecoveryCode, SecretText, TypedAnswer};
use crate::wire::{
    Answer, Code, DeviceProof, Event, Fault, Hello, HelloDisplay, KeypairRow, PROTOCOL, Reply, Request, SlotKind,
    SlotProof, SlotRow, Status,
};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// How often a person may mistype.
const TRIES: u32 = 3;

/// The files and sockets of this user.
pub(super) fn paths() -> Result<Paths, Fault> {
    Paths::find(|name| std::env::var(name).ok(), rustix::process::geteuid().as_raw())
        .ok_or_else(|| Fault::new(Code::AgentRuntimeFolder, "neither HOME nor CLAVIGER_HOME is an absolute path"))
}

/// This client's greeting.
pub(super) fn hello(answers: bool) -> Hello {
    Hello {
        protocol: PROTOCOL,
        client: format!("claviger/{VERSION}"),
        answers,
        aws_config_file: variable("AWS_CONFIG_FILE"),
        display: display(),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where programs that ask for this client may show themselves.
fn display() -> Option<HelloDisplay> {
    let (display, wayland_display) = (variable("DISPLAY"), variable("WAYLAND_DISPLAY"));
    (display.is_some() || wayland_display.is_some()).then(|| HelloDisplay {
        display,
        wayland_display,
        xauthority: variable("XAUTHORITY"),
        dbus_session_bus_address: variable("DBUS_SESSION_BUS_ADDRESS"),
    })
}

/// The fault of an answer that does not belong to the request.
pub(super) fn unexpected() -> Failure {
    foreign().into()
}

/// The same, before it ends a command.
pub(super) fn foreign() -> Fault {
    Fault::new(Code::WireProtocol, "the agent's answer does not belong to the request")
}

/// What becomes of a recovery code that the agent shows.
#[derive(Clone, Copy)]
pub(super) enum Recording {
    /// A person notes it and types it back.
    Person,
    /// It goes to a file descriptor, or to stdout.
    Machine(Option<u32>),
}

/// A connection with a person behind it, or none.
pub(super) struct Desk<'a> {
    client: Client,
    proof: &'a Proof,
    by: By,
    /// Which slot is to be opened, where not any will do: it follows the word for the proof.
    of: &'static str,
    /// The last proof was left to a device.
    by_device: bool,
    person: Person,
}

/// What a proof is made with, where neither a descriptor nor `--recovery` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A device, where the vault has a slot for one and it is plugged in; else the passphrase.
    Any,
    /// This device, and nothing else.
    Device(DeviceProof),
    /// What a person knows.
    Word,
}

struct Person {
    terminal: Option<Terminal>,
    progress: Progress,
    recording: Recording,
    questions: Questions,
    /// By region and name.
    keypairs: BTreeMap<(Region, String), KeypairRow>,
    /// Whether a new management key was printed.
    has_shown_key: bool,
}

impl<'a> Desk<'a> {
    /// Connects; starts the agent where nobody answers.
    pub(super) fn open(proof: &'a Proof) -> Result<Self, Fault> {
        let terminal = Terminal::open();
        let client = Client::connect_or_start(&paths()?, hello(terminal.is_some()), None)?;
        Ok(Self::at(client, terminal, proof))
    }

    /// Connects to an agent that runs already, else `agent.not_running`.
    pub(super) fn open_running(proof: &'a Proof) -> Result<Self, Fault> {
        let terminal = Terminal::open();
        let client = Client::connect(&paths()?, hello(terminal.is_some()))?;
        Ok(Self::at(client, terminal, proof))
    }

    fn at(client: Client, terminal: Option<Terminal>, proof: &'a Proof) -> Self {
        Self { client, proof, by: By::Any, of: "", by_device: false, person: Person::at(terminal) }
    }

    /// Says what becomes of a recovery code.
    pub(super) fn record(mut self, recording: Recording) -> Self {
        self.person.recording = recording;
        self
    }

    /// Says what a proof is made with.
    pub(super) fn by(&mut self, by: By) {
        self.by = by;
    }

    /// Says which slot a proof is of, as its question says it.
    pub(super) fn prove_of(&mut self, slot: &'static str) -> Result<SlotProof, Fault> {
        self.of = slot;
        self.prove()
    }

    /// Whether a new management key was printed, on the way to whatever came of the request.
    pub(super) fn has_shown_key(&self) -> bool {
        self.person.has_shown_key
    }

    /// Asks. Where the vault is locked and it can be opened here, opens it and asks again.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply, Fault> {
        match self.exchange(request) {
            Err(fault) if fault.code == Code::VaultLocked => {
                match proof_in(request).map(copy) {
                    Some(proof) => self.unlock(proof)?,
                    None if self.can_prove() => self.unlock_by_person()?,
                    None => return Err(fault),
                }
                self.exchange(request)
            }
            other => other,
        }
    }

    /// The same with a request that has a proof. Where a person has typed it, and typed it wrong, they may try again.
    pub(super) fn ask_proven(&mut self, mut request: Request) -> Result<Reply, Fault> {
        let mut tries = 1;
        loop {
            let outcome = self.ask(&request);
            let Err(fault) = &outcome else { return outcome };
            if !self.may_try_again(fault, &mut tries)? {
                return outcome;
            }
            match proof_of(&mut request) {
                Some(proof) => *proof = self.prove()?,
                None => return outcome,
            }
        }
    }

    /// Asks for something that is done or not, with a proof.
    pub(super) fn done_proven(&mut self, request: Request) -> Result<(), Failure> {
        match self.ask_proven(request)? {
            Reply::Done {} => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Whether it is a person who has mistyped, and may again: then they are told. A device that is not there, or that they
    /// do not want, leaves it to the passphrase.
    fn may_try_again(&mut self, fault: &Fault, tries: &mut u32) -> Result<bool, Fault> {
        if self.by == By::Any && self.by_device && is_no_device(fault.code) {
            self.by = By::Word;
            let Some(terminal) = self.person.terminal.as_mut() else { return Ok(false) };
            terminal.show(&format!("{}.\n", Message(&fault.message)))?;
            return Ok(true);
        }
        let mistyped = matches!(fault.code, Code::VaultWait | Code::VaultWrongProof);
        match self.person.terminal.as_mut() {
            Some(terminal) if mistyped && self.proof.passphrase_fd.is_none() && *tries < TRIES => {
                *tries += 1;
                terminal.show(&format!("{}; try again.\n", Message(&fault.message)))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Asks for something that is done or not.
    pub(super) fn done(&mut self, request: &Request) -> Result<(), Failure> {
        match self.ask(request)? {
            Reply::Done {} => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// What the agent holds and does.
    pub(super) fn status(&mut self) -> Result<Status, Failure> {
        match self.exchange(&Request::Status {})? {
            Reply::Status(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }

    /// Makes sure that there is a vault, before a person is asked for anything that goes into it.
    pub(super) fn require_vault(&mut self) -> Result<Status, Failure> {
        match self.status()? {
            status if status.vault == "absent" => Err(Fault::new(Code::VaultAbsent, "there is no vault yet").into()),
            status => Ok(status),
        }
    }

    /// The same, and opens it if it is locked and can be opened here.
    pub(super) fn require_open_vault(&mut self) -> Result<(), Failure> {
        if self.require_vault()?.vault != "locked" {
            return Ok(());
        }
        // A person is asked only where the keyring does not open it.
        let by_person = self.proof.passphrase_fd.is_some() || self.exchange(&Request::UnlockByKeyring {}).is_err();
        if by_person && self.can_prove() {
            self.unlock_by_person()?;
        }
        Ok(())
    }

    /// Opens the vault by what a person knows. On a terminal they may try again.
    pub(super) fn unlock_by_person(&mut self) -> Result<(), Fault> {
        let mut tries = 1;
        loop {
            let proof = self.prove()?;
            match self.unlock(proof) {
                Err(fault) if self.may_try_again(&fault, &mut tries)? => {}
                outcome => return outcome,
            }
        }
    }

    /// Opens the vault if it is locked. A proof that came by descriptor is kept for what asks for one: it can be read
    /// only once. At a terminal a person is asked again then, with what they are to agree to before them.
    pub(super) fn open_vault_keeping_proof(&mut self) -> Result<Option<SlotProof>, Failure> {
        if self.require_vault()?.vault != "locked" || self.proof.passphrase_fd.is_none() {
            self.require_open_vault()?;
            return Ok(None);
        }
        let request = Request::Unlock { proof: self.prove()? };
        self.exchange(&request)?;
        Ok(match request {
            Request::Unlock { proof } => Some(proof),
            _ => None,
        })
    }

    /// A device where the vault has a slot for one; else the passphrase or recovery code, from the descriptor given or
    /// from the terminal.
    pub(super) fn prove(&mut self) -> Result<SlotProof, Fault> {
        self.by_device = false;
        let is_open = self.proof.passphrase_fd.is_none() && !self.proof.recovery && !self.proof.no_device;
        match self.by.clone() {
            By::Device(wanted) => return Ok(SlotProof::Device(wanted)),
            By::Any if is_open && self.has_device_slot() => {
                self.by_device = true;
                return Ok(SlotProof::Device(DeviceProof::default()));
            }
            By::Any | By::Word => {}
        }
        let what = if self.proof.recovery { "Recovery code" } else { "Passphrase" };
        let question = format!("{what}{}: ", self.of);
        let text = match (self.proof.passphrase_fd, self.person.terminal.as_mut()) {
            (Some(number), _) => intake::descriptor(number)?.to_string(),
            (None, Some(terminal)) => terminal.ask_hidden(&question)?,
            (None, None) => return Err(intake::no_terminal("the passphrase", "--passphrase-fd N")),
        };
        Ok(match self.proof.recovery {
            true => SlotProof::Recovery(RecoveryCode::from_text(text)),
            false => SlotProof::Passphrase(Passphrase::from_text(text)),
        })
    }

    /// The rows of keypair_list, which come before its answer; by region and name.
    pub(super) fn keypairs(&mut self) -> Vec<KeypairRow> {
        std::mem::take(&mut self.person.keypairs).into_values().collect()
    }

    /// Waits until the agent has ended.
    pub(super) fn wait_closed(self) {
        self.client.wait_closed();
    }

    fn can_prove(&self) -> bool {
        self.proof.passphrase_fd.is_some() || self.person.terminal.is_some()
    }

    fn has_device_slot(&mut self) -> bool {
        let is_one = |row: &SlotRow| row.kind.is_some_and(SlotKind::is_device);
        matches!(self.exchange(&Request::SlotList {}), Ok(Reply::Slots(rows)) if rows.iter().any(is_one))
    }

    fn unlock(&mut self, proof: SlotProof) -> Result<(), Fault> {
        self.exchange(&Request::Unlock { proof }).map(|_| ())
    }

    fn exchange(&mut self, request: &Request) -> Result<Reply, Fault> {
        // Argon2id takes its time, by design.
        match request {
            Request::Init { .. } => self.person.progress.brief("making the vault …"),
            Request::Unlock { .. } => self.person.progress.brief("opening the vault …"),
            Request::AccessKeyList { live: true } => self.person.progress.brief("asking AWS …"),
            Request::AccessKeyRotate(_) => self.person.progress.brief("replacing the key at AWS …"),
            Request::MfaDeactivate { .. } | Request::MfaEnroll(_) => self.person.progress.brief("asking AWS …"),
            Request::KeypairRotate(_) | Request::SshKeyNew { .. } => self.person.progress.brief("making the key …"),
            Request::Restore { .. } => self.person.progress.brief("opening the backup …"),
            request if proof_in(request).is_some() => self.person.progress.brief("opening the vault …"),
            _ => {}
        }
        let person = &mut self.person;
        let answer = self.client.stand(request, person);
        person.leave_questions();
        self.person.progress.clear();
        answer
    }
}

impl Attendant for Person {
    /// Only while something is asked: what is typed otherwise is the shell's.
    fn input(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().filter(|_| self.questions.is_open()).map(Terminal::input)
    }

    fn meet(&mut self, heard: Heard) -> Result<Option<Answer>, Fault> {
        match (heard, &mut self.terminal) {
            (Heard::Event(event), _) => self.hear(event),
            (Heard::Input, Some(terminal)) => self.questions.typed(terminal),
            (Heard::Input, None) => Ok(None),
        }
    }
}

impl Person {
    fn at(terminal: Option<Terminal>) -> Self {
        let (progress, questions) = (Progress::new(), Questions::default());
        let recording = Recording::Person;
        Self { terminal, progress, recording, questions, keypairs: BTreeMap::new(), has_shown_key: false }
    }

    /// Nothing is asked any more: whatever stands on the screen ends there.
    fn leave_questions(&mut self) {
        if std::mem::take(&mut self.questions).is_open()
            && let Some(terminal) = &mut self.terminal
        {
            terminal.forget_typed();
            let _ = terminal.show("\n");
        }
    }

    fn hear(&mut self, event: Event) -> Result<Option<Answer>, Fault> {
        match event {
            Event::Question { prompt, echo } => {
                self.progress.clear();
                let Some(terminal) = &mut self.terminal else { return Ok(Some(Answer { value: None, number: None })) };
                let prompt = format!("{}: ", Label(&prompt));
                let typed = if echo { terminal.ask(&prompt)?.to_string() } else { terminal.ask_hidden(&prompt)? };
                let typed = TypedAnswer::from_text(typed);
                let value = Some(typed).filter(|typed| !typed.expose().is_empty());
                Ok(Some(Answer { value, number: None }))
            }
            Event::RecoveryCode { code } => {
                self.progress.clear();
                let code = TypedAnswer::from_text(code.expose().to_owned());
                let value = match (self.recording, &mut self.terminal) {
                    (Recording::Machine(number), _) => record(&code, number).map(|()| code)?,
                    (Recording::Person, Some(terminal)) => type_back(terminal, &code)?,
                    (Recording::Person, None) => {
                        return Err(intake::no_terminal("the recovery code", "--recovery-fd N"));
                    }
                };
                Ok(Some(Answer { value: Some(value), number: None }))
            }
            Event::ManagementKey { key } => {
                self.progress.clear();
                // On stdout before the card has it: whatever happens then, somebody has the key.
                ui::secret_line(key.expose()).map_err(|_| {
                    Fault::new(Code::PromptRefused, "stdout cannot be written, and the card keeps its management key")
                })?;
                self.has_shown_key = true;
                Ok(Some(Answer { value: Some(TypedAnswer::from_text(key.expose().to_owned())), number: None }))
            }
            Event::ConfirmNeeded { .. }
            | Event::ConfirmOver { .. }
            | Event::PinNeeded { .. }
            | Event::PinOver { .. } => {
                self.progress.clear();
                if let Some(terminal) = &mut self.terminal {
                    self.questions.event(terminal, &event)?;
                }
                Ok(None)
            }
            Event::Keypairs { rows } => {
                // Asked twice, where an agent went away meanwhile: told once.
                let key = |row: &KeypairRow| (row.region.clone(), row.name.clone());
                self.keypairs.extend(rows.into_iter().map(|row| (key(&row), row)));
                Ok(None)
            }
            Event::RegionsDone { done, of } => {
                if !self.questions.is_open() {
                    self.progress.brief(&format!("{done} of {of} regions …"));
                }
                Ok(None)
            }
            Event::TouchNeeded { .. } | Event::TouchOver { .. } | Event::WaitingForCode { .. } => {
                // A question on the screen is not drawn over.
                if !self.questions.is_open() {
                    self.progress.event(&event);
                }
                Ok(None)
            }
        }
    }
}

/// The proof that a request carries: it opens a locked vault as well.
macro_rules! proof_of {
    ($request:expr) => {
        match $request {
            Request::AccessKeyExport { proof, .. }
            | Request::Backup { proof, .. }
            | Request::ConfigAccept { proof, .. }
            | Request::MfaExport { proof, .. }
            | Request::SlotAdd { proof, .. }
            | Request::SlotRemove { proof, .. }
            | Request::SshKeyExport { proof, .. }
            | Request::TrashEmpty { proof }
            | Request::VaultAccept { proof, .. } => Some(proof),
            _ => None,
        }
    };
}

fn proof_in(request: &Request) -> Option<&SlotProof> {
    proof_of!(request)
}

fn proof_of(request: &mut Request) -> Option<&mut SlotProof> {
    proof_of!(request)
}

fn copy(proof: &SlotProof) -> SlotProof {
    match proof {
        SlotProof::Passphrase(text) => SlotProof::Passphrase(Passphrase::from_text(text.expose().to_owned())),
        SlotProof::Recovery(text) => SlotProof::Recovery(RecoveryCode::from_text(text.expose().to_owned())),
        SlotProof::Device(wanted) => SlotProof::Device(wanted.clone()),
        SlotProof::Answered(answer) => SlotProof::Answered(answer.clone()),
    }
}

/// Whether no device proved anything, and nothing is wrong with one: the passphrase may.
fn is_no_device(code: Code) -> bool {
    matches!(code, Code::SlotAmbiguous | Code::SlotNoDevice)
}

/// A machine has the code as soon as it is written.
fn record(code: &TypedAnswer, number: Option<u32>) -> Result<(), Fault> {
    match number {
        Some(number) => intake::write_line(number, code.expose()),
        None => {
            let mut line = crate::client::WipedBuffer::with_capacity(128);
            line.extend(code.expose().as_bytes());
            line.extend(b"\n");
            ui::data(line.as_slice()).map_err(|_| {
                Fault::new(Code::VaultRecoveryMismatch, "the recovery code could not be written to stdout")
            })
        }
    }
}

/// Shows the code, has it typed back, and takes it from the screen.
fn type_back(terminal: &mut Terminal, code: &TypedAnswer) -> Result<TypedAnswer, Fault> {
    // Lines of at most 80 columns: their number is what is taken from the screen again.
    terminal.show("Write this recovery code on paper. It opens the vault when the passphrase is\n")?;
    terminal.show("lost, and is not shown again.\n\n    ")?;
    terminal.show(&Label(code.expose()).to_string())?;
    terminal.show("\n\n")?;
    let mut lines = 5;
    for tries in 1.. {
        let typed = TypedAnswer::from_text(terminal.ask("Type it back: ")?.to_string());
        lines += 1;
        if tries == TRIES || plain(&typed) == plain(code) {
            // Up over what was shown, and clear to the end of the screen.
            terminal.show(&format!("\x1b[{lines}A\r\x1b[J"))?;
            return Ok(typed);
        }
        terminal.show("That is not it.\n")?;
        lines += 1;
    }
    Err(Fault::new(Code::VaultRecoveryMismatch, "the recovery code was not typed back as shown"))
}

/// A code without its dashes, spaces and case.
fn plain(code: &TypedAnswer) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(
        code.expose().chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect(),
    )
}
