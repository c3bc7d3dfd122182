//! One weight of many entries: from the changed plan to the kernel.

use anyhow::Result;

use super::row::{Row, Times};
use super::stand::{engine, fresh, one_change};
use super::{Bench, TURNS, plan};

/// Among 10,000 entries and among 100,000.
pub(super) fn rows(bench: &mut Bench) -> Result<Vec<Row>> {
    let mut of_size = Vec::new();
    for (services, real_servers) in [(1_000, 10), (5_000, 20)] {
        let entries = usize::from(services) * usize::from(real_servers);
        bench.show(format!("changing one weight among {entries} …"))?;
        let times = fresh(|| {
            let mut engine = engine()?;
            let mut plan = plan::of(services, real_servers, 1);
            engine.pass(&plan)?;
            let mut times = Times::default();
            for weight in 2..TURNS + 2 {
                let changed = plan::with_one_weight(&plan, u32::try_from(weight)?);
                times.add(one_change(&mut engine, &plan, &changed)?);
                plan = changed;
            }
            Ok(times)
        })?;
        of_size.push((entries, times));
    }
    let [(small, of_small), (large, of_large)] = &of_size[..] else { return Ok(Vec::new()) };
    Ok(vec![
        Row::alone(format!("change one weight among {large} entries"), of_large).at_most(2.0),
        Row::slower(format!("change one weight: among {large} entries, against {small}"), of_large, of_small)
            .at_most(1.5),
    ])
}
