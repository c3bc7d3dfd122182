use std::fs;

use lvs_core::custody::{Claim, Item};
use lvs_core::kernel::{AddressKey, ArpSettings};

use super::*;

fn subject(boot: &str) -> Subject {
    Subject { boot_id: boot.into(), network: None }
}

fn records() -> Vec<Record> {
    let server = "TCP 192.168.10.40:80".parse().unwrap();
    let vip: AddressKey = "lo 192.168.10.40/32".parse().unwrap();
    vec![
        Record::Take(Item::VirtualServer(server), Claim::Created),
        Record::Take(Item::Destination(server, "192.168.10.10:80".parse().unwrap()), Claim::Adopted),
        Record::Take(
            Item::Arp("eth0".parse().unwrap()),
            Claim::Arp { prior: ArpSettings::default(), ours: ArpSettings { ignore: 1, announce: 2 } },
        ),
        Record::Take(Item::Address(vip), Claim::Created),
        Record::Release(Item::VirtualServer(server)),
    ]
}

fn after(records: &[Record]) -> Custody {
    let mut custody = Custody::default();
    for record in records {
        custody.record(record);
    }
    custody
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    // In memory, as the journal of a node is: a disk would take its time for each of a thousand syncs.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("state/custody.jsonl");
    (folder, path)
}

fn reopened(path: &Path, boot: &str) -> Custody {
    Journal::open(path, &subject(boot)).unwrap().1
}

#[test]
fn what_was_appended_is_read_back() {
    let (_folder, path) = folder();
    let (mut journal, custody) = Journal::open(&path, &subject("boot-1")).unwrap();
    assert!(custody.is_clean());
    let records = records();
    journal.append(&records[..2]).unwrap();
    journal.append(&[]).unwrap();
    journal.append(&records[2..]).unwrap();
    assert_eq!(read(&path, &subject("boot-1")).unwrap(), after(&records));
    assert_eq!(reopened(&path, "boot-1"), after(&records));
    // What was read is gone on with, not overwritten.
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&[Record::Release(Item::Arp("eth0".parse().unwrap()))]).unwrap();
    assert_eq!(reopened(&path, "boot-1").count(), 2);
}

#[test]
fn reading_touches_nothing() {
    let (_folder, path) = folder();
    assert!(read(&path, &subject("boot-1")).unwrap().is_clean());
    assert!(!path.exists());
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&records()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&path, &subject("boot-1")).unwrap(), after(&records()[..4]));
    assert!(read(&path, &subject("boot-2")).unwrap().is_clean());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn another_boot_voids_it() {
    let (_folder, path) = folder();
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&records()).unwrap();
    assert!(reopened(&path, "boot-2").is_clean());
    // And it is the later boot's from then on.
    assert!(reopened(&path, "boot-1").is_clean());
}

#[test]
fn cut_short_anywhere_it_holds_what_was_whole_and_goes_on() {
    let (_folder, path) = folder();
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    let records = records();
    journal.append(&records).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let lines = whole[..length]
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .count();
        let kept = &records[..lines.saturating_sub(1)];
        let (mut journal, custody) = Journal::open(&path, &subject("boot-1")).unwrap();
        assert_eq!(custody, after(kept), "cut after {length} bytes");
        journal.append(&records[4..]).unwrap();
        let mut expected = after(kept);
        expected.record(&records[4]);
        assert_eq!(reopened(&path, "boot-1"), expected, "gone on after {length} bytes");
    }
}

#[test]
fn a_whole_line_that_is_no_record_stops_everything() {
    let (_folder, path) = folder();
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&records()[..1]).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"take\":[]}\n");
    fs::write(&path, &bytes).unwrap();
    let error = Journal::open(&path, &subject("boot-1")).unwrap_err();
    assert!(matches!(error, Error::Corrupt { line: 3, .. }), "{error}");
    assert!(error.to_string().contains("custody.jsonl, line 3: "), "{error}");
    // The file is evidence, and stays as it was.
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "{\"bootId\":\"boot-1\",\"version\":3}\n").unwrap();
    assert!(matches!(Journal::open(&path, &subject("boot-1")), Err(Error::Corrupt { line: 1, .. })));
    // Of another boot it is void whatever its version.
    assert!(reopened(&path, "boot-2").is_clean());
}

#[test]
fn it_does_not_grow_without_bound() {
    let (_folder, path) = folder();
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&records()).unwrap();
    let item = Item::Timeouts;
    for _ in 0..SMALLEST_COMPACTION {
        journal.append(&[Record::Take(item, Claim::Created), Record::Release(item)]).unwrap();
        journal.compact(&after(&records()));
    }
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    assert!(lines <= SMALLEST_COMPACTION, "{lines} lines");
    assert_eq!(reopened(&path, "boot-1"), after(&records()));
}

#[test]
fn a_failed_write_counts_for_nothing_and_leaves_nothing() {
    let (_folder, path) = folder();
    let (mut journal, _) = Journal::open(&path, &subject("boot-1")).unwrap();
    journal.append(&records()[..1]).unwrap();
    let before = fs::read(&path).unwrap();
    journal.refuse_writes();
    assert!(matches!(journal.append(&records()[1..]), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(read(&path, &subject("boot-1")).unwrap(), after(&records()[..1]));
}

#[test]
fn a_journal_of_another_network_namespace_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("custody.jsonl");
    let of = |network| Subject { network, ..subject("boot-1") };
    drop(Journal::open(&path, &of(Some(1))).unwrap());
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Journal::open(&path, &of(Some(2))), Err(Error::OtherNetwork { .. })));
    assert!(matches!(read(&path, &of(Some(2))), Err(Error::OtherNetwork { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // A kernel that does not tell is believed, and so is a journal from before it was asked.
    assert!(Journal::open(&path, &of(None)).is_ok());
    assert!(Journal::open(&path, &Subject { network: Some(2), ..subject("boot-2") }).is_ok());
}
