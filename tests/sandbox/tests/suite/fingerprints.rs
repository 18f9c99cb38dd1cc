//! Every form of key that EC2 takes and makes, held against openssl, ssh-keygen and puttygen.

use crate::common::{Reply, Rig, demo};
use data_encoding::BASE64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EAST: &str = "us-east-1";

/// A folder of this test's own.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("claviger-sandbox-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.0.join(name)).unwrap();
        std::io::Write::write_all(&mut file, bytes.as_ref()).unwrap();
        self.path(name)
    }

    /// Runs a shell line in the folder; its output without the last newline.
    fn shell(&self, line: &str) -> String {
        String::from_utf8(self.bytes(line)).unwrap().trim_end().to_owned()
    }

    fn bytes(&self, line: &str) -> Vec<u8> {
        let done = Command::new("sh").args(["-euc", line]).current_dir(&self.0).stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    /// Makes a key pair with ssh-keygen; the public line.
    fn key(&self, name: &str, kind: &str, bits: &str) -> String {
        self.shell(&format!("ssh-keygen -q -t {kind} -b {bits} -N '' -C somebody -f {name}; cat {name}.pub"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn import(rig: &Rig, name: &str, material: &[u8]) -> Reply {
    let material = BASE64.encode(material);
    rig.ec2(&rig.ada(), EAST, "ImportKeyPair", &[("KeyName", name), ("PublicKeyMaterial", &material)])
}

fn create(rig: &Rig, name: &str, kind: &str, format: &str) -> Reply {
    let parameters = [("KeyName", name), ("KeyType", kind), ("KeyFormat", format)];
    rig.ec2(&rig.ada(), EAST, "CreateKeyPair", &parameters).ok()
}

/// The public line that DescribeKeyPairs shows, without its comment.
fn shown(rig: &Rig, name: &str) -> String {
    let parameters = [("KeyName.1", name), ("IncludePublicKey", "true")];
    let reply = rig.ec2(&rig.ada(), EAST, "DescribeKeyPairs", &parameters).ok();
    without_comment(reply.text("publicKey"))
}

fn without_comment(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn have(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| Path::new(&folder).join(program).is_file())
}

/// Of openssl's `SHA1(stdin)= aa:bb`, what follows the sign.
fn digest(said: &str) -> &str {
    said.rsplit("= ").next().unwrap()
}

#[test]
fn a_created_rsa_key_is_known_by_its_private_half() {
    let (rig, desk) = (demo(), Desk::new("created-rsa"));
    let made = create(&rig, "made", "rsa", "pem");
    desk.write("made", format!("{}\n", made.text("keyMaterial")));
    let private = desk.shell("openssl pkcs8 -topk8 -nocrypt -in made -outform DER | openssl sha1 -c");
    assert_eq!(made.text("keyFingerprint"), digest(&private));
    assert_eq!(desk.shell("openssl rsa -in made -check -noout"), "RSA key ok");
    assert_eq!(shown(&rig, "made"), desk.shell("ssh-keygen -yf made"));
    assert!(made.text("keyMaterial").starts_with("-----BEGIN RSA PRIVATE KEY-----\nMII"));
    assert_eq!(desk.shell("ssh-keygen -lf made").split(' ').next(), Some("2048"));
    assert_ne!(create(&rig, "next", "rsa", "pem").text("keyFingerprint"), made.text("keyFingerprint"));
    // The same key imported elsewhere has another fingerprint.
    let line = shown(&rig, "made");
    let public = desk.shell("openssl rsa -in made -pubout -outform DER | openssl md5 -c");
    assert_eq!(import(&rig, "again", line.as_bytes()).ok().text("keyFingerprint"), digest(&public));
}

#[test]
fn a_created_ed25519_key_is_known_by_its_public_half() {
    let (rig, desk) = (demo(), Desk::new("created-ed25519"));
    let made = create(&rig, "made", "ed25519", "pem");
    desk.write("made", format!("{}\n", made.text("keyMaterial")));
    assert_eq!(shown(&rig, "made"), desk.shell("ssh-keygen -yf made"));
    let said = desk.shell("ssh-keygen -lf made");
    let hash = said.split(' ').nth(1).unwrap().strip_prefix("SHA256:").unwrap();
    assert_eq!(made.text("keyFingerprint"), format!("{hash}="));
    assert!(made.text("keyMaterial").starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    desk.write("text", "signed");
    desk.shell("ssh-keygen -q -Y sign -f made -n test text; ssh-keygen -Y check-novalidate -n test -s text.sig <text");
    assert_ne!(create(&rig, "next", "ed25519", "pem").text("keyFingerprint"), made.text("keyFingerprint"));
}

#[test]
fn puttys_form_is_puttys() {
    assert!(have("puttygen"), "puttygen is missing: apt-get install putty-tools");
    for kind in ["rsa", "ed25519"] {
        let (rig, desk) = (demo(), Desk::new(&format!("putty-{kind}")));
        let made = create(&rig, "made", kind, "ppk");
        desk.write("made.ppk", made.text("keyMaterial").replace("&#13;", "\r"));
        let public = desk.shell("puttygen made.ppk -L");
        assert_eq!(public, format!("{} made", shown(&rig, "made")));
        desk.shell("puttygen made.ppk -O private-openssh -o made && chmod 600 made");
        assert_eq!(desk.shell("ssh-keygen -yf made").split(' ').nth(1), public.split(' ').nth(1));
    }
}

#[test]
fn imported_keys_of_every_form() {
    let (rig, desk) = (demo(), Desk::new("imported"));
    for (bits, index) in ["1024", "2048", "4096"].into_iter().zip(1..) {
        let line = desk.key(bits, "rsa", bits);
        let wanted = desk
            .shell(&format!("ssh-keygen -ef {bits}.pub -m PKCS8 | openssl rsa -pubin -outform DER | openssl md5 -c"));
        let rfc4716 = desk.shell(&format!("ssh-keygen -ef {bits}.pub"));
        let der = desk.bytes(&format!("ssh-keygen -ef {bits}.pub -m PKCS8 | openssl rsa -pubin -outform DER"));
        let folded = desk.shell(&format!("ssh-keygen -ef {bits}.pub -m PKCS8 | grep -v -e -----"));
        let forms = [
            line.clone().into_bytes(),
            format!("{line}\n").into_bytes(),
            rfc4716.into_bytes(),
            der,
            folded.into_bytes(),
        ];
        for (form, place) in forms.iter().zip(1..) {
            let name = format!("rsa-{index}-{place}");
            assert_eq!(import(&rig, &name, form).ok().text("keyFingerprint"), digest(&wanted), "{name}");
            assert_eq!(shown(&rig, &name), without_comment(&line));
        }
    }
    let line = desk.key("ed", "ed25519", "256");
    let said = desk.shell("ssh-keygen -lf ed.pub");
    let wanted = format!("{}=", said.split(' ').nth(1).unwrap().strip_prefix("SHA256:").unwrap());
    let long = desk.shell("ssh-keygen -ef ed.pub").replace("Comment: \"", "Comment: \"long \\\nx-continued: \\\n");
    for (form, name) in [(line.clone(), "ed-1"), (without_comment(&line), "ed-2"), (long, "ed-3")] {
        assert_eq!(import(&rig, name, form.as_bytes()).ok().text("keyFingerprint"), wanted, "{name}");
        assert_eq!(shown(&rig, name), without_comment(&line));
    }
}

#[test]
fn other_keys_are_not_taken() {
    let (rig, desk) = (demo(), Desk::new("refused"));
    let good = desk.key("ed", "ed25519", "256");
    let mut junk: Vec<Vec<u8>> = Vec::new();
    for (kind, bits) in [("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "3072"), ("rsa", "1040")] {
        junk.push(desk.key(&format!("{kind}-{bits}"), kind, bits).into_bytes());
    }
    // What a security key makes (PROTOCOL.u2f), with a point that is one.
    let mut sk = Vec::new();
    for part in [
        &b"sk-ssh-ed25519@openssh.com"[..],
        &BASE64.decode(good.split(' ').nth(1).unwrap().as_bytes()).unwrap()[19..],
        b"ssh:",
    ] {
        sk.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        sk.extend(part);
    }
    junk.push(format!("sk-ssh-ed25519@openssh.com {} sk", BASE64.encode(&sk)).into_bytes());
    desk.shell("ssh-keygen -q -t ed25519 -N '' -f ca; ssh-keygen -q -s ca -I id -n ada ed.pub; cat ed-cert.pub >cert");
    junk.push(desk.bytes("cat cert"));
    junk.push(desk.bytes("cat ed"));
    junk.push(desk.bytes("ssh-keygen -q -t rsa -b 2048 -N '' -f pem; ssh-keygen -ef pem.pub -m PKCS8"));
    let (kind, base64) = good.split_once(' ').unwrap();
    let base64 = base64.split(' ').next().unwrap();
    junk.push(format!("no-pty {good}").into_bytes());
    junk.push(format!("{good}\n{good}").into_bytes());
    junk.push(format!("ssh-rsa {base64}").into_bytes());
    junk.push(base64.as_bytes().to_vec());
    junk.push(format!("{kind} {}", &base64[..base64.len() - 4]).into_bytes());
    junk.push(
        format!("{kind} {}", BASE64.encode(&[BASE64.decode(base64.as_bytes()).unwrap(), vec![0]].concat()))
            .into_bytes(),
    );
    junk.extend([b"ssh-ed25519".to_vec(), b"hello".to_vec(), vec![0x30, 0x80, 0, 0], vec![0xff; 300]]);
    for material in &junk {
        let reply = import(&rig, "bad", material);
        reply.refused(400, "InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    }
    let parameters = [("KeyName", "bad"), ("PublicKeyMaterial", "not base64")];
    rig.ec2(&rig.ada(), EAST, "ImportKeyPair", &parameters).refused(400, "InvalidKey.Format", "");
    import(&rig, "good", good.as_bytes()).ok();
}
