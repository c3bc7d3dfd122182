//! Plans from texts and folders, and plans whose objects do not fit together yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lvs_core::names::{NodeName, ServiceName};
use lvs_core::node_plan::{NodePlan, PlannedService};
use lvs_crds::ReadSlice;
use tokio::sync::watch;

use super::seen::Seen;
use super::{folder, plans, text};

/// The objects of a node with one service, as written under an epoch.
fn objects(epoch: u64) -> (lvs_crds::NodePlan, Vec<lvs_crds::NodePlanSlice>) {
    let mut plan = NodePlan::empty(epoch, "lineage");
    plan.services
        .insert(ServiceName::new("web", "shop"), PlannedService::idle(&format!("uid {epoch}")).into());
    lvs_crds::plan::split(&"rs-1".into(), &plan)
}

fn seen(epoch: u64) -> Seen {
    let (node_plan, slices) = objects(epoch);
    let read = slices.iter().map(|slice| Arc::new(ReadSlice::of(slice, None)));
    Seen { node_plan: Some(node_plan), slices: read.map(|slice| (slice.name.clone(), slice)).collect() }
}

/// The slices of one epoch under the NodePlan of another.
fn torn(of_plan: u64, of_slices: u64) -> Seen {
    Seen { slices: seen(of_slices).slices, ..seen(of_plan) }
}

fn yaml(epoch: u64) -> String {
    let plan = serde_saphyr::to_string(&objects(epoch).0).unwrap();
    format!("{}---\n{plan}", slices_yaml(epoch))
}

fn slices_yaml(epoch: u64) -> String {
    objects(epoch)
        .1
        .iter()
        .map(|slice| serde_saphyr::to_string(slice).unwrap())
        .collect::<Vec<_>>()
        .join("---\n")
}

fn parsed(text: &str) -> anyhow::Result<BTreeMap<NodeName, Seen>> {
    text::parse(text, Path::new("plan.yaml"))
}

#[test]
fn documents_json_and_lists_read_alike() {
    let seen = seen(3);
    let expected = BTreeMap::from([(NodeName::from("rs-1"), seen.clone())]);
    assert_eq!(parsed(&yaml(3)).unwrap(), expected);
    let items: Vec<serde_json::Value> = serde_saphyr::from_multiple(&yaml(3)).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    assert_eq!(parsed(&list.to_string()).unwrap(), expected);
    assert!(seen.plan().unwrap().0.complete);
}

#[test]
fn a_slice_without_its_plan_is_nobodys() {
    assert_eq!(parsed(&slices_yaml(3)).unwrap(), BTreeMap::new());
}

#[test]
fn two_plans_of_one_node_are_refused() {
    let error = parsed(&format!("{}---\n{}", yaml(3), yaml(4))).unwrap_err();
    assert!(format!("{error:#}").contains("NodePlan \"rs-1\" is there twice"), "{error:#}");
}

#[test]
fn a_text_cut_anywhere_is_never_taken_for_a_whole_plan_that_asks_for_less() {
    let whole = yaml(3);
    for length in 0..whole.len() {
        let Some(text) = whole.get(..length) else { continue };
        let nodes = parsed(text).unwrap_or_default();
        let plan = nodes.get(&"rs-1".into()).and_then(Seen::plan);
        // Where only the last line's end is missing, nothing is.
        let less = plan.is_some_and(|(plan, _)| plan.complete && plan.services.len() != 1);
        assert!(!less, "cut after {length} bytes: {text}");
    }
}

/// What `plans` hands on while `shown` is shown, one a moment after another, and then time passes.
async fn handed_on(shown: &[Seen]) -> Vec<(u64, bool)> {
    let (sender, receiver) = watch::channel(None);
    let taken = Arc::new(Mutex::new(Vec::new()));
    let into = taken.clone();
    let task = tokio::spawn(plans(receiver, move |plan| {
        into.lock().unwrap().push((plan.epoch, plan.complete));
        true
    }));
    for seen in shown {
        sender.send_replace(Some(seen.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(sender);
    task.await.unwrap();
    Arc::try_unwrap(taken).unwrap().into_inner().unwrap()
}

#[test]
fn a_slice_that_comes_again_shares_its_services_and_one_of_other_content_does_not() {
    let slice = &objects(3).1[0];
    let first = ReadSlice::of(slice, None);
    let part = |read: &ReadSlice| read.services.values().next().unwrap().clone().unwrap().1;
    assert!(Arc::ptr_eq(&part(&first), &part(&ReadSlice::of(slice, Some(&first)))));
    let other = ReadSlice::of(&objects(4).1[0], Some(&first));
    assert_ne!(part(&first), part(&other));
    assert_ne!(first.hash, other.hash);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_being_written_is_waited_for() {
    assert_eq!(handed_on(&[seen(3), torn(3, 4), seen(4)]).await, [(3, true), (4, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_stays_incomplete_is_handed_on_as_that() {
    assert_eq!(handed_on(&[seen(3), torn(3, 4)]).await, [(3, true), (3, false)]);
}

#[tokio::test(start_paused = true)]
async fn objects_that_never_come_to_rest_are_not_waited_for_for_ever() {
    let restless: Vec<Seen> = (0..100).map(|number| torn(number, number + 1)).collect();
    let handed_on = handed_on(&restless).await;
    assert!(handed_on.len() > 1 && handed_on.iter().all(|(_, complete)| !complete), "{handed_on:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_node_plan_nothing_is_handed_on() {
    assert_eq!(handed_on(&[Seen::default(), seen(3), Seen::default()]).await, [(3, true)]);
}

#[tokio::test]
async fn a_folder_is_followed_through_bad_files_and_gone_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder::plan_file(folder.path(), &"rs-1".into());
    let (sender, mut receiver) = watch::channel(None);
    let task = tokio::spawn(folder::follow(folder.path().to_owned(), "rs-1".into(), sender));
    assert_eq!(next(&mut receiver).await, Seen::default());
    crate::state::durable::replace(&file, yaml(3).as_bytes()).unwrap();
    assert_eq!(next(&mut receiver).await, seen(3));
    // What does not parse is passed over, so that the next good one is the next that is seen.
    crate::state::durable::replace(&file, b"kind: [").unwrap();
    tokio::task::yield_now().await;
    crate::state::durable::replace(&file, yaml(4).as_bytes()).unwrap();
    assert_eq!(next(&mut receiver).await, seen(4));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(next(&mut receiver).await, Seen::default());
    task.abort();
}

async fn next(receiver: &mut watch::Receiver<Option<Seen>>) -> Seen {
    tokio::time::timeout(Duration::from_mins(1), receiver.changed()).await.unwrap().unwrap();
    receiver.borrow_and_update().clone().unwrap()
}
