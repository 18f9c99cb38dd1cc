//! Every verb, to a good end and to a bad one, and every input that could be misunderstood, with a secret in it.

use super::drive::{Drive, fresh, fresh_key};
use super::record::{Class, Place};
use super::talk;
use claviger_agent::ssh::key::{NewKey, SoftKey};
use claviger_agent::world::World;
use serde_json::json;

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const PHONE: &str = "arn:aws:iam::123456789012:mfa/ada-phone";
const NO_PHONE: &str = "arn:aws:iam::123456789012:mfa/nobody";
const THIRD_PHONE: &str = "arn:aws:iam::123456789012:mfa/third-phone";
const OTHER_PHONE: &str = "arn:aws:iam::123456789012:mfa/ops-phone";

impl Drive {
    /// A secret of this class that nobody has seen.
    fn new_secret(&self, class: Class) -> String {
        let secret = fresh(20);
        self.record.learn(class, &secret);
        secret
    }

    /// One that stands where it is not understood.
    fn malformed(&self) -> String {
        self.new_secret(Class::Malformed)
    }

    /// The settings, and more.
    fn config(&self, more: &str) {
        let (home, endpoint) = (self.home.path().display(), format!("http://{}", self.tap.address));
        self.write(
            "config/config.toml",
            &format!(
                "[endpoints]\nallow = ['{endpoint}']\nsts = '{endpoint}'\niam = '{endpoint}'\n\
                 ec2 = '{endpoint}'\nec2_instance_connect = '{endpoint}'\n[vault]\nargon2_memory_mib = 64\n\
                 [commands]\nallow = ['{home}/good', '{home}/rubbish', '{home}/fails']\n{more}"
            ),
        );
    }

    fn profiles(&self, more: &str) {
        let (home, control) = (self.home.path().display(), &self.control);
        let role = "role_arn = arn:aws:iam::123456789012:role/plain";
        self.write(
            "config/profiles",
            &format!(
                "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\nsource_profile = dev\nregion = eu-central-1\n\
                 [profile {control}]\n{role}\nsource_profile = dev\nrole_session_name = {control}\n\
                 [profile typed]\nclaviger_access_key = dev\nmfa_serial = {NO_PHONE}\n\
                 [profile good]\ncredential_process = {home}/good\n\
                 [profile rubbish]\ncredential_process = {home}/rubbish\n\
                 [profile fails]\ncredential_process = {home}/fails\n\
                 [profile task]\ncredential_source = EcsContainer\n{role}\n{more}"
            ),
        );
    }
}

/// A home with nothing in it, up to one with everything.
pub(super) fn build_up(drive: &Drive) {
    let (record, sandbox) = (&drive.record, &drive.sandbox);
    for bad in [
        "[network]\nproxy = 'http://ada:SECRET@proxy.example:3128'\n",
        "[network]\nproxy = 'SECRET'\nno_proxy = ['https://SECRET']\n",
        "[vault]\nSECRET = 1\n",
        "[vault]\nargon2_memory_mib = 'SECRET'\n",
        "[SECRET]\nx = 1\n",
        "[lock]\nidle = 'SECRET'\n",
        "[sources]\ncontainer_uri = 'http://SECRET.example/SECRET'\n",
        "[commands]\nallow = ['/bin/x --password SECRET', 7]\n",
        "[endpoints]\nsts = 'http://ada:SECRET@sts.example'\n",
        "password = SECRET\n",
    ] {
        drive.write("config/config.toml", &bad.replace("SECRET", &drive.malformed()));
        drive.run(&["agent", "start"], "").bad();
        drive.run(&["config", "check"], "").bad();
    }
    drive.config("");
    drive.profiles("");
    for words in [&["unlock"][..], &["login", "prod"], &["lock"], &["slot", "list"], &["trash", "list"]] {
        drive.run(words, "");
    }
    drive.run(&["init", "--passphrase-fd", "0", "--no-keyring"], "").bad();
    let code = drive.proven(&["init", "--keyring"]).good();
    record.learn(Class::RecoveryCode, code.trim());
    drive.proven(&["init"]).bad();
    drive.learn_keys();

    // Keys and seeds that are not understood.
    let add = ["access-key", "add", "dev", "--stdin"];
    for bad in [
        "KEY\nSECRET/\nSECRET\n",
        "SECRET\n",
        "SECRET\nKEY\n",
        "{\"AccessKey\": {\"AccessKeyId\": \"KEY\", \"SecretAccessKey\": \"SECRET\"",
        "{\"AccessKey\": {\"AccessKeyId\": \"SECRET\", \"SecretAccessKey\": 7}}",
        "Access key ID,Secret access key\nKEY,SECRET,SECRET\n",
        "Access key,SECRET\nKEY,SECRET\n",
        "",
    ] {
        drive.run(&add, &bad.replace("KEY", KEY_ID).replace("SECRET", &drive.malformed())).bad();
    }
    // One that AWS does not know, and AWS answering with other secrets.
    let unknown = fresh_key();
    record.learn(Class::AccessKeySecret, &unknown);
    drive.run(&add, &format!("{KEY_ID}\n{unknown}\n")).bad();
    drive.run(&add, &sandbox.access_key()).good();
    drive.run(&add, &sandbox.access_key()).bad();
    let second = fresh_key();
    record.learn(Class::AccessKeySecret, &second);
    drive.run(&["access-key", "add", "ops", "--stdin", "--no-verify"], &format!("{KEY_ID}\n{second}\n")).good();
    talk::typed_answers(drive);
    let add = |name, serial| ["mfa", "add", "--for", name, "--seed-stdin", "--serial", serial, "--no-verify"];
    for bad in [
        "SECRET!",
        "SECRET1",
        "otpauth://totp/ada?secret=SECRET&algorithm=SECRET",
        "otpauth://hotp/SECRET?secret=SECRET&counter=1",
        "otpauth://totp/SECRET?secret=!SECRET",
        "otpauth-migration://offline?data=SECRET",
        "https://example.com/?secret=SECRET",
        "\u{0}SECRET",
    ] {
        drive.run(&add("dev", PHONE), &bad.replace("SECRET", &drive.malformed())).bad();
    }
    drive.run(&add("dev", PHONE), sandbox.text("mfa_seed")).good();
    let seed = fresh(20).to_uppercase();
    record.learn(Class::Seed, &seed);
    record.learn(Class::Seed, data_encoding::BASE32_NOPAD.decode(seed.as_bytes()).expect("base32"));
    // A seed that AWS does not know: a code of it goes to STS, which refuses it.
    let wrong = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", NO_PHONE];
    drive.run(&wrong, &seed).bad();
    let uri = format!("otpauth://totp/ops?secret={seed}&issuer=x");
    drive.run(&add("ops", OTHER_PHONE), &uri).good();
    let third = fresh(20).to_uppercase();
    record.learn(Class::Seed, &third);
    drive.run(&add("ops", THIRD_PHONE), &third).good();
}

/// Answers of STS with secrets where they do not belong; then the one code that is spent, and what it opens.
pub(super) fn sessions(drive: &Drive) {
    let (record, tap) = (&drive.record, &drive.tap);
    for (status, body) in [
        ("200 OK", "<html><SecretAccessKey>SECRET</SecretAccessKey></html>"),
        ("200 OK", "{\"SecretAccessKey\": \"SECRET\"}"),
        ("200 OK", "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>SECRET</Arn></GetCallerIdentityResult>"),
        (
            "403 Forbidden",
            "<ErrorResponse><Error><Code>AccessDenied</Code><Secret>SECRET</Secret></Error></ErrorResponse>",
        ),
        ("403 Forbidden", "SECRET"),
        ("400 Bad Request", "<ErrorResponse><Error><Type>SECRET</Type><Code>ExpiredToken</Code>"),
    ] {
        tap.answer("GetCallerIdentity", status, &body.replace("SECRET", &drive.malformed()));
        let key = format!("{}\n{}\n", drive.sandbox.text("access_key_id"), drive.sandbox.text("secret_access_key"));
        drive.run(&["access-key", "add", "again", "--stdin"], &key).bad();
        assert!(tap.is_idle(), "the answer was not fetched");
    }
    let credentials = "<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>SECRET</SecretAccessKey>\
                       <SessionToken>SECRET</SessionToken><Expiration>SECRET</Expiration></Credentials>";
    drive.run(&["login", "prod", "--passphrase-fd", "0"], &drive.passphrase).good();
    for (status, body) in [
        (
            "200 OK",
            format!("<AssumeRoleResponse><AssumeRoleResult>{credentials}</AssumeRoleResult></AssumeRoleResponse>"),
        ),
        ("200 OK", format!("<AssumeRoleResponse><AssumeRoleResult>{credentials}")),
        ("200 OK", "<AssumeRoleResponse>&SECRET;</AssumeRoleResponse>".to_owned()),
    ] {
        tap.answer("AssumeRole", status, &body.replace("SECRET", &drive.malformed()));
        let ended = drive.run(&["process", &drive.control, "--wait", "5"], "");
        assert!(tap.is_idle() && ended.exit.is_some_and(|exit| exit != 0), "{}", ended.stderr);
    }
    for profile in ["prod", "dev", &drive.control] {
        drive.run(&["process", profile], "").good();
        drive.run(&["whoami", profile], "").good();
    }
    drive.run(&["process", "nobody"], "").bad();
    drive.run(&["whoami", "nobody"], "").bad();
    drive.run(&["login", "nobody"], "").bad();
    for shell in ["bash", "fish", "powershell", "dotenv", "json"] {
        drive.run(&["env", "prod", "--shell", shell], "").good();
    }
    drive.run(&["env", "nobody"], "").bad();
    let code = drive.run(&["mfa", "code", "ops-phone", "--now"], "").good();
    record.learn(Class::Code, code.trim());
    while drive.run(&["mfa", "code", "ops-phone", "--now"], "").exit == Some(0) {}
    talk::code(drive, "third-phone");
    drive.run(&["mfa", "remove", "third-phone"], "").good();
    talk::endpoints(drive);
    let frozen = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    drive.under_exec(&["prod", "--env"], &frozen, |_| {});
    drive.run(&["exec", "prod", "--", "/bin/sh", "-c", "exit 9"], "").bad();
    drive.run(&["exec", "prod", "--", "/no/such/program"], "").bad();
    drive.run(&["exec", "nobody", "--env", "--", "/bin/true"], "").bad();
}

/// Sources that say what they should not.
pub(super) fn sources(drive: &Drive) {
    let json = |secret: &str, token: &str, more: &str| {
        json!({"Version": 1, "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": secret, "SessionToken": token})
            .to_string()
            .replace('}', more)
    };
    let (secret, token) = (drive.new_secret(Class::SessionSecret), drive.new_secret(Class::SessionToken));
    let good = json(&secret, &token, ",\"Expiration\":\"2099-01-01T00:00:00Z\"}");
    let said = || drive.new_secret(Class::SourceSecret);
    drive.script("good", &format!("echo {} >&2\nprintf '%s' '{good}'\n", said()));
    drive.script("fails", &format!("printf '%s' '{}'\necho {} >&2\nexit 7\n", json(&said(), &said(), "}"), said()));
    drive.run(&["process", "good"], "").good();
    drive.run(&["process", "fails"], "").bad();
    for rubbish in [
        said(),
        json(&said(), &said(), ""),
        json(&said(), &said(), &format!(",\"Expiration\":\"{}\"}}", said())),
        json(&said(), &said(), "}").replace(":1", ":2"),
        format!("{}{}", json(&said(), &said(), "}"), said()),
    ] {
        drive.script("rubbish", &format!("cat <<'END'\n{rubbish}\nEND\necho {} >&2\n", said()));
        drive.run(&["process", "rubbish"], "").bad();
    }
    // A container whose token is a secret, and which answers with others.
    let (token, refusal, body) = (said(), said(), json(&said(), &said(), ""));
    let address = talk::container(vec![("200 OK", body), ("403 Forbidden", refusal)]);
    drive.write("token", &token);
    let file = drive.home.file("token").display().to_string();
    drive.config(&format!("[sources]\ncontainer_uri = 'http://{address}/x'\ncontainer_token_file = '{file}'\n"));
    drive.proven(&["config", "accept", "--all"]).good();
    drive.run(&["process", "task"], "").bad();
    drive.run(&["process", "task"], "").bad();
    drive.config("");
    drive.proven(&["config", "accept", "--all"]).good();
}

/// An SSH key in a file of its own, learnt: its seed, and the line of the file that the seed stands in.
fn new_ssh_key(drive: &Drive) -> String {
    let entropy = World::real().entropy;
    let key = SoftKey::generate(NewKey::Ed25519, &*entropy).unwrap_or_else(|error| panic!("{error}"));
    let fields = key.encode().unwrap_or_else(|error| panic!("{error}"));
    drive.record.learn(Class::SshKey, &fields[fields.len() - 64..fields.len() - 32]);
    let file = key.export("ada@laptop", None, &*entropy).unwrap_or_else(|error| panic!("{error}"));
    drive.record.learn(Class::SshKey, file.lines().nth(4).expect("a line"));
    file.to_string()
}

/// The verbs about SSH keys. The one named laptop stays.
fn ssh_keys(drive: &Drive) {
    let add = ["ssh-key", "add", "laptop", "--stdin"];
    for bad in [
        "SECRET",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN SECRET PRIVATE KEY-----\nSECRET\n-----END SECRET PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nSECRET",
        "PuTTY-User-Key-File-3: SECRET\nEncryption: SECRET\n",
        "ssh-ed25519 SECRET\n",
    ] {
        drive.run(&add, &bad.replace("SECRET", &drive.malformed())).bad();
    }
    let file = new_ssh_key(drive);
    drive.run(&add, &file).good();
    drive.run(&add, &file).bad();
    drive.run(&["ssh-key", "add", "again", "--stdin"], &file).bad();
    // One under a passphrase, tried with another.
    let own = drive.new_secret(Class::Passphrase);
    let export = ["ssh-key", "export", "laptop", "--passphrase-fd", "3", "--key-passphrase-fd", "4"];
    let encrypted = drive.given(&export, &[&drive.passphrase, &own]).good();
    drive.write("encrypted", &encrypted);
    let path = drive.home.file("encrypted").display().to_string();
    let add = ["ssh-key", "add", "again", &path, "--key-passphrase-fd", "3"];
    drive.given(&add, &[&drive.new_secret(Class::Passphrase)]).bad();
    drive.given(&add, &[&own]).bad();
    drive.run(&add[..4], "").bad();
    for (words, bad) in [
        (&["ssh-key", "new", "other", "--type", "ecdsa-p256"][..], &["ssh-key", "new", "laptop"][..]),
        (&["ssh-key", "list", "--json"], &["ssh-key", "list", "x"]),
        (&["ssh-key", "public", "laptop"], &["ssh-key", "public", "nobody"]),
        (&["ssh-key", "remove", "other"], &["ssh-key", "remove", "other"]),
    ] {
        drive.run(words, "").good();
        drive.run(bad, "").bad();
    }
    drive.run(&["ssh", "--config"], "").good();
    // Pushed, and then nobody listens at the instance's address.
    let web = ["ssh", "--profile", "prod", "--region", "us-east-1", "--port", "1"];
    drive.run(&[&web[..], &["--key", "laptop", "--proxy", "ec2-user@web-1"]].concat(), "").bad();
    drive.run(&[&web[..], &["nobody"]].concat(), "").bad();
    drive.proven(&["ssh-key", "export", "laptop"]).good();
    drive.proven(&["ssh-key", "export", "nobody"]).bad();
}

/// The verbs about key pairs, with answers of EC2 that hold secrets: what AWS makes is a private key.
fn key_pairs(drive: &Drive) {
    let keypair = |words: &[&str]| drive.run(&[&["keypair"], words, &["--profile", "prod"]].concat(), "");
    for (name, kind) in [("pair", "ed25519"), ("desk", "rsa")] {
        keypair(&["create", name, "--type", kind]).good();
        let file = drive.proven(&["ssh-key", "export", name]).good();
        drive.record.learn(Class::SshKey, file.lines().nth(4).expect("a line"));
    }
    let pem = drive.proven(&["ssh-key", "export", "desk", "--format", "pkcs1"]).good();
    drive.record.learn(Class::SshKey, pem.lines().nth(9).expect("a line"));
    keypair(&["create", "pair"]).bad();
    for body in [
        "<CreateKeyPairResponse><keyPairId>key-1</keyPairId><keyFingerprint>x</keyFingerprint><keyMaterial>SECRET</keyMaterial>\
         </CreateKeyPairResponse>",
        "<CreateKeyPairResponse><keyMaterial>-----BEGIN OPENSSH PRIVATE KEY-----SECRET",
        "<Response><Errors><Error><Code>InternalError</Code><Secret>SECRET</Secret></Error></Errors></Response>",
    ] {
        drive.tap.answer("CreateKeyPair", "200 OK", &body.replace("SECRET", &drive.malformed()));
        keypair(&["create", "other"]).bad();
        assert!(drive.tap.is_idle(), "the answer was not fetched");
    }
    keypair(&["import", "laptop"]).good();
    keypair(&["import", "nobody"]).bad();
    keypair(&["list", "--json"]).good();
    keypair(&["list", "--region", "A B"]).bad();
    keypair(&["rotate", "pair"]).good();
    keypair(&["rotate", "a b"]).bad();
    keypair(&["delete", "pair"]).good();
    keypair(&["delete", "pair"]).bad();
    let add = ["ssh-key", "add", "ada-launch", "--stdin"];
    let launch = include_str!("../../sandbox/src/world/demo-launch-key.pem");
    drive.run(&add, launch).good();
    drive.record.learn(Class::SshKey, launch.lines().nth(9).expect("a line"));
    let password = keypair(&["password", "i-0a11ce0000000003c", "--region", "us-east-1"]).good();
    drive.record.learn(Class::InstancePassword, password.trim());
    keypair(&["password", "i-0123456789abcdef0"]).bad();
}

/// The verbs about what is kept, and the files of the user.
pub(super) fn keeping(drive: &Drive) {
    let record = &drive.record;
    // PINs for a device that is not there.
    for words in [
        &["fido", "list", "--pin-fd", "0"][..],
        &["fido", "new", "card", "--pin-fd", "0"],
        &["fido", "pin", "--set", "--new-pin-fd", "0"],
    ] {
        drive.run(words, &drive.malformed()).bad();
    }
    for (words, bad) in [
        (&["status", "--json"][..], &["status", "prod"][..]),
        (&["doctor", "prod"], &["doctor", "nobody"]),
        (&["device", "list"], &["device", "list", "--yaml"]),
        (&["doctor", "prod", "--live"], &["doctor", "a b"]),
        (&["access-key", "list", "--json"], &["access-key", "list", "x"]),
        (&["mfa", "list", "--json"], &["mfa", "list", "x"]),
        (&["mfa", "rename", "ops-phone", "phone"], &["mfa", "rename", "nobody", "phone"]),
        (&["mfa", "remove", "phone"], &["mfa", "remove", "nobody"]),
        (&["access-key", "remove", "ops"], &["access-key", "remove", "nobody"]),
        (&["trash", "list", "--json"], &["trash", "list", "x"]),
        (&["trash", "restore", "ops"], &["trash", "restore", "nobody"]),
        (&["trash", "restore", "phone"], &["trash", "restore", "phone"]),
        (&["slot", "list", "--json"], &["slot", "list", "x"]),
        (&["ssh-agent", "env", "--shell", "bash"], &["ssh-agent", "env", "x"]),
        (&["profile", "list", "--json"], &["profile", "list", "x"]),
        (&["profile", "show", "prod"], &["profile", "show", "nobody"]),
        (&["profile", "explain", "prod"], &["profile", "explain", "nobody"]),
        (&["config", "show", "--json"], &["config", "show", "x"]),
        (&["config", "check"], &["config", "check", "x"]),
        (&["audit", "log", "--json"], &["audit", "log", "--since", "x"]),
        (&["audit", "verify"], &["audit", "verify", "x"]),
        (&["audit", "why", "1"], &["audit", "why", "99999999"]),
        (&["completion", "bash"], &["completion", "x"]),
        (&["agent", "start"], &["agent", "start", "x"]),
        (&["logout", "good"], &["logout", "a b"]),
    ] {
        drive.run(words, "").good();
        drive.run(bad, "").bad();
    }
    // No card is here, perhaps no pcscd: what is typed goes as far as the agent, or its device helper, and no further.
    for verb in ["code", "delete", "rename"] {
        let names = ["GitHub:ada", "GitHub:eve"];
        drive.run(&[&["oath", verb][..], &names[..if verb == "rename" { 2 } else { 1 }]].concat(), "").bad();
    }
    drive.run(&["oath", "list"], "");
    drive.run(&["oath", "list", "--yaml"], "").bad();
    drive.run(&["piv", "list"], "");
    drive.run(&["piv", "list", "--yaml"], "").bad();
    let key = || drive.malformed();
    drive.run(&["piv", "management-key", "--stdin"], &key()).bad();
    drive.given(&["piv", "management-key", "--management-key-fd", "3"], &[&key()]).bad();
    drive.given(&["piv", "certificate", "9a", "--remove", "--management-key-fd", "3"], &[&key()]).bad();
    drive.run(&["piv", "certificate", "9a", "--import", "-"], &key()).bad();
    drive.proven(&["access-key", "export", "dev"]).good();
    drive.proven(&["mfa", "export", "ada-phone"]).good();
    drive.proven(&["access-key", "export", "nobody"]).bad();
    drive.proven(&["mfa", "export", "nobody"]).bad();
    ssh_keys(drive);
    key_pairs(drive);
    let other = drive.new_secret(Class::Passphrase);
    drive
        .given(
            &["slot", "add", "passphrase", "--passphrase-fd", "3", "--new-passphrase-fd", "4"],
            &[&drive.passphrase, &other],
        )
        .good();
    // Gone again: each wrong guess would be tried on it as well.
    drive.proven(&["slot", "remove", "4"]).good();
    record.learn(Class::RecoveryCode, drive.proven(&["slot", "add", "recovery"]).good().trim());
    drive.proven(&["slot", "remove", "99"]).bad();
    // An access key of the AWS files, taken over.
    let (plain, kept) = (fresh_key(), drive.new_secret(Class::Kept));
    drive.write(
        ".aws/config",
        "[profile away]\nrole_arn = arn:aws:iam::123456789012:role/plain\nsource_profile = dev\n",
    );
    drive.write(
        ".aws/credentials",
        &format!("[work]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = {plain}\n[bad]\naws_secret_access_key = {kept}\n"),
    );
    record.learn(Class::AccessKeySecret, &plain);
    drive.proven(&["access-key", "import", "bad", "--yes", "--no-verify"]).bad();
    drive.proven(&["access-key", "import", "work", "--yes", "--no-verify", "--name", "imported"]).good();
    for verb in ["adopt", "release"] {
        drive.run(&["profile", verb, "away", "--yes"], "").good();
        drive.run(&["profile", verb, "nobody", "--yes"], "").bad();
    }
    drive.on_terminal("prompts");
    drive.run(&["prompts"], "").bad();
    // Another agent serves.
    drive.run(&["agent", "run"], "").good();
}

/// Wrong proofs and damaged files, then the ends of agents.
pub(super) fn ends(drive: &Drive) {
    for text in [
        "[profile SECRET\naws_secret_access_key = SECRET\n",
        "aws_secret_access_key = SECRET\n",
        "[profile x]\naws_secret_access_key SECRET\n  SECRET\n",
        "[profile x]\naws_secret_access_key = SECRET\nrole_arn = SECRET\nsource_profile = dev\n",
        "[profile x]\nmfa_serial = SECRET\nduration_seconds = SECRET\ncredential_source = SECRET\n",
        "[profile x]\nclaviger_mfa = SECRET\ncredential_process = /bin/sh -c SECRET\n",
    ] {
        let secret = drive.malformed();
        drive.profiles(&text.replace("SECRET", &secret));
        for words in [&["profile", "list"][..], &["profile", "explain", "x"], &["process", "x"], &["login", "x"]] {
            drive.run(words, "");
        }
        // A value of a name that is none is shown to the person whose file it is, if by length alone.
        drive.run(&["doctor", "x"], "");
    }
    drive.profiles("");
    let junk = drive.malformed();
    drive.write("junk.backup", &format!("{{\"secret\": \"{junk}\"\n{junk}"));
    let file = drive.home.file("junk.backup").display().to_string();
    let restore = ["restore", &file, "--replace", "--recovery-fd", "3", "--passphrase-fd", "4"];
    drive.given(&restore, &[&drive.malformed(), &drive.new_secret(Class::Passphrase)]).bad();
    for words in [
        &["unlock"][..],
        &["access-key", "export", "dev"],
        &["backup", "/nowhere/b"],
        &["trash", "empty"],
        &["config", "accept", "--all"],
    ] {
        let wrong = drive.new_secret(Class::Passphrase);
        drive.config("[network]\nno_proxy = ['x.example']\n");
        drive.run(&[words, &["--passphrase-fd", "0"]].concat(), &wrong).bad();
        drive.look_at_files();
        drive.run(&["agent", "stop"], "").good();
        drive.proven(&["unlock"]).good();
    }
    let code = drive.malformed();
    drive.run(&["unlock", "--recovery", "--passphrase-fd", "0"], &code).bad();
    drive.config("");
    drive.run(&["agent", "stop"], "").good();
    drive.run(&["agent", "stop"], "");
    drive.run(&["lock"], "");
    drive.run(&["agent", "restart"], "");
    drive.proven(&["unlock"]).good();
    drive.run(&["agent", "restart"], "").good();
    assert!(drive.record.has(Place::AgentEnvironment, "CLAVIGER_WITHOUT"), "the successor logs as much");
    drive.proven(&["unlock"]);
    drive.proven(&["trash", "empty"]).good();
    let backup = drive.home.file("b").display().to_string();
    let code = drive.proven(&["backup", &backup]).good();
    drive.record.learn(Class::RecoveryCode, code.trim());
    drive.learn_keys();
    drive.run(&["lock"], "").good();
    drive.run(&["process", "prod"], "").bad();
    drive.proven(&["unlock"]).good();
    drive.run(&["logout", "--all"], "").good();
    let restore = ["restore", &backup, "--replace", "--recovery-fd", "3", "--passphrase-fd", "4"];
    drive.given(&restore, &[code.trim(), &drive.passphrase]).good();
    drive.learn_keys();
    drive.proven(&["slot", "add", "keyring"]).good();
    drive.run(&["lock"], "").good();
    drive.proven(&["unlock"]).good();
}
