//! Which of the two ways a host's files are reached by.

use super::{Report, Scripts, Service, Site, Trouble, Way};
use crate::outcome::Kind;
use crate::remote::Exec;
use crate::transport::files::FileReason;

/// Chooses how the host's files are reached: by its file service, unless something is wanted that only
/// scripts can do, or it has none, which is told. `around` is what surrounds each script.
pub(super) async fn way(
    around: Exec,
    needs_scripts: bool,
    site: &mut dyn Site,
    report: &mut Report,
) -> Result<Box<dyn Way>, Trouble> {
    let needs_scripts = needs_scripts || around.elevation.is_some();
    let scripts = Box::new(Scripts::new(around));
    if needs_scripts {
        return Ok(scripts);
    }
    match site.files().await {
        Ok(files) => Ok(Box::new(Service::new(files, scripts))),
        Err(error) if error.reason == FileReason::Unsupported => Ok(scripts),
        Err(error) if error.reason == FileReason::NoService => {
            let line = format!("no SFTP here ({}); its shell is used", error.message);
            report.lines.push(line);
            Ok(scripts)
        }
        Err(error) => Err(Trouble::new(Kind::Lost, error.message)),
    }
}
