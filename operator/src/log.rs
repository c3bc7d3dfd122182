//! Logs go to stderr: stdout belongs to what a verb prints.

use std::error::Error;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::arguments::{LogFormat, Logging};

/// Sets the logs up. A filter that cannot be read is an error of usage.
pub(crate) fn start(logging: &Logging) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&logging.log).map_err(|error| {
        anyhow::anyhow!("--log {:?} is no filter: {error}; write for example info,kube=debug", logging.log)
    })?;
    // It says `failed with status 500` and not of what; whoever made the call says more.
    let filter = match "kube_client::client::builder=off".parse() {
        Ok(silence) if !logging.log.contains("kube") => filter.add_directive(silence),
        _ => filter,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match logging.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// An error with all its causes: the first sentence alone is often only `client error (Connect)`.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = sentence(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let sentence = sentence(error);
        if !text.contains(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        cause = error.source();
    }
    text
}

/// An error without its causes. kube shows the answer of an API server twice, the second time as a value of Rust.
fn sentence(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    text.split(" (Status {").next().unwrap_or_default().to_owned()
}
