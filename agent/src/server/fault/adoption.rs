//! What adopting, releasing and importing may meet.

use super::{cause, command, path, place, shown};
use crate::jobs::Error;
use claviger::wire::{Code, Fault};

pub(super) fn fault(error: &Error) -> Fault {
    match error {
        Error::Adopted(profile) => Fault::new(
            Code::ProfileAdopted,
            format!("profile {} is adopted already", shown(profile)),
        )
        .hint(command("profile release", profile, "profile list")),
        Error::FileChanged(file) => {
            Fault::new(Code::FileChanged, format!("{} was changed meanwhile: look at it again", path(file)))
        }
        Error::FileTooLarge(file) => {
            Fault::new(Code::FileUnsaved, format!("{} would be longer than 16 MiB; nothing was written", path(file)))
        }
        Error::FileUnsaved(file, _) => Fault::new(
            Code::FileUnsaved,
            format!("{} cannot be written{}; the old one stands", path(file), cause(error)),
        ),
        Error::KeyTemporary(profile, origin) => {
            let what = "its keys are a session's and end by themselves: delete those lines";
            Fault::new(Code::AccessKeyTemporary, format!("profile {}: {what} ({})", shown(profile), place(origin)))
        }
        Error::KeyUnusable(profile, rule, origin) => {
            Fault::new(Code::AccessKeyInvalid, format!("profile {}: {rule} ({})", shown(profile), place(origin)))
                .hint(command("profile show", profile, "profile list"))
        }
        Error::NoPlainKey(profile) => {
            let message = format!("profile {} has no access key in plain text", shown(profile));
            Fault::new(Code::AccessKeyNotFound, message).hint(command("profile show", profile, "profile list"))
        }
        Error::NotAdopted(profile) => {
            Fault::new(Code::ProfileNotAdopted, format!("profile {} is not adopted", shown(profile)))
        }
        Error::PlainText(profile, origin) => {
            let what = "its access key stands in plain text";
            Fault::new(Code::ProfileUnsupported, format!("profile {}: {what} ({})", shown(profile), place(origin)))
                .hint(command("access-key import", profile, "access-key import --all"))
        }
        Error::ProgramPath(program) => {
            let what = "no AWS file can name it so that every SDK finds it";
            Fault::new(Code::Usage, format!("the client is {}: {what}", path(program))).hint("claviger profile list")
        }
        Error::WouldChange(profile) => {
            let what = "would mean something else afterwards; nothing was written";
            Fault::new(Code::ProfileConflict, format!("profile {} {what}", shown(profile))).hint(command(
                "profile show",
                profile,
                "profile list",
            ))
        }
        _ => super::internal(),
    }
}
