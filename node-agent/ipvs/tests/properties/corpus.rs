//! Where damage starts from: the messages that `ipvsadm` and kernels exchanged, and of each control message those forms
//! that the captures do not hold.

/// What was captured, each message on a line behind its direction.
const CAPTURES: [&str; 5] = [
    include_str!("../captures/config.txt"),
    include_str!("../captures/daemon.txt"),
    include_str!("../captures/destinations.txt"),
    include_str!("../captures/listings.txt"),
    include_str!("../captures/services.txt"),
];

/// In this order: a dump that ended early without and with a text; an acknowledgement with text and offset behind a capped
/// request and behind a whole one; nothing and an overrun.
const CONTROL: [&str; 5] = [
    "140000000300020007000000 01000000 fcffffff",
    "200000000300020207000000 01000000 fcffffff 0a000100 6f6f70730a000000",
    "380000000200000307000000 01000000 eaffffff 180000001e000500 0700000000000000 0a000100 6f6f707361000000 0800020014000000",
    "400000000200000207000000 01000000 eaffffff 180000001e000500 0700000000000000 0501000004000280 0a000100 6f6f707361000000 \
     0800020014000000",
    "10000000010000000000000000000000 10000000040000000000000000000000",
];

/// Every message, each once.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let captured = CAPTURES.iter().flat_map(|capture| capture.lines()).filter_map(|line| {
        let (direction, digits) = line.split_once(' ')?;
        matches!(direction, "<" | ">").then_some(digits)
    });
    let mut messages: Vec<Vec<u8>> = captured.chain(CONTROL).map(bytes).collect();
    messages.sort_unstable();
    messages.dedup();
    assert!(messages.len() > 100, "the captures hold {} messages only", messages.len());
    messages
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
