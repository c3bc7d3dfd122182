//! The addresses of the API server: no VIP may be one of them, or the node would cut itself off.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// How often the name is resolved again.
const REFRESH: Duration = Duration::from_mins(1);

/// The addresses as they are known now; empty until the name has resolved for the first time.
pub type Known = Arc<RwLock<BTreeSet<IpAddr>>>;

/// Keeps resolving the API server's host, from now on.
#[must_use]
pub fn follow((host, port): (String, u16)) -> Known {
    let known = Known::default();
    let filled = known.clone();
    tokio::spawn(async move {
        loop {
            match resolve(&host, port).await {
                Ok(addresses) => {
                    // A writer that panicked can only have been this one.
                    if let Ok(mut known) = filled.write() {
                        *known = addresses;
                    }
                }
                Err(error) => tracing::warn!(host, %error, "the API server's name does not resolve"),
            }
            tokio::time::sleep(REFRESH).await;
        }
    });
    known
}

/// The addresses that the host of an API server's URL stands for, as the node resolves it now.
///
/// # Errors
/// Where the name does not resolve.
pub async fn resolve(host: &str, port: u16) -> std::io::Result<BTreeSet<IpAddr>> {
    // An IPv6 address stands in brackets in a URL.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(BTreeSet::from([address]));
    }
    Ok(tokio::net::lookup_host((bare, port)).await?.map(|socket| socket.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_stand_for_themselves() {
        for (host, address) in [("192.168.10.2", "192.168.10.2"), ("[fd00::2]", "fd00::2")] {
            assert_eq!(resolve(host, 6443).await.unwrap(), BTreeSet::from([address.parse().unwrap()]));
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_what_it_resolves_to() {
        assert!(!resolve("localhost", 6443).await.unwrap().is_empty());
    }
}
