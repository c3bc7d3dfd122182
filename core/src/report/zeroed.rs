//! For which token the counters of a service were zeroed.

use crate::counters::ZeroToken;
use crate::custody::{Claim, Custody, Item};
use crate::names::ServiceName;
use crate::node_plan::PlannedService;
use crate::wanted::Wanted;

/// The token of a part, where the counters of all its virtual servers here that are ours were zeroed for it.
pub(super) fn zeroed(
    name: &ServiceName,
    part: &PlannedService,
    wanted: &Wanted,
    owned: &Custody,
) -> Option<ZeroToken> {
    let form = part.form.as_ref()?;
    let token = form.zero_counters.as_ref()?;
    let vips = part.vips.iter().filter(|(_, planned)| planned.forward).map(|(vip, _)| vip);
    let keys = vips.flat_map(|vip| crate::render::keys(form, *vip));
    let own = keys.filter(|key| wanted.owners.get(key) == Some(name));
    let mut ours = own.filter(|key| owned.holds(&Item::VirtualServer(*key))).peekable();
    ours.peek()?;
    let done = |key| owned.claim(&Item::Counters(key)) == Some(Claim::Zeroed(token.mark()));
    ours.all(done).then(|| token.clone())
}
