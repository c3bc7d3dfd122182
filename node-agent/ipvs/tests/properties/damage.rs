//! The bounded run of the fuzzer's target: messages that were really exchanged, damaged a few times over as a broken
//! kernel, a short read or an enemy would, and held to the laws.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::Config;

use crate::{attribute, corpus, laws};

/// One thing that goes wrong with a message. Places are aligned to four bytes where lengths and kinds stand.
#[derive(Clone, Debug)]
enum Damage {
    /// The rest is missing.
    Cut(Index),
    /// The message ends before its last bytes, and its length says so: where it ends need not be aligned.
    End(usize),
    /// Some bytes are others.
    Bytes(Index, Vec<u8>),
    /// Where an attribute or a nest may start, its length is another: too short, or beyond the nest or the message.
    Length(Index, u16),
    /// Where an attribute may start, its kind or its flags are others.
    Kind(Index, u16),
    /// Another attribute follows in the last nest, whose length and the message's grow with it.
    Grow(u16, Vec<u8>),
    /// A part stands there twice.
    Twice(Index, Index),
    /// The message is of another type, or says otherwise what was capped and what follows.
    Header(u16, u16),
    /// Another message follows, with padding or without.
    Follow(Index, bool),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    // The ends of what a number of any width can be, or anything.
    let byte = prop_oneof![select(vec![0, 1, 0x7f, 0x80, 0xff]), any::<u8>()];
    // An empty attribute, a header, numbers of each width, and the greatest.
    let length =
        prop_oneof![select(vec![0, 1, 3, 4, 5, 6, 8, 12, 20, 0x7fff, 0xffff]), any::<u16>(), 0..300u16];
    let flags = select(vec![0, 0x4000, 0x8000, 0xc000]);
    let kind = (0..18u16, flags).prop_map(|(kind, flags)| kind | flags);
    // NOOP, ERROR, DONE, OVERRUN and a family; NLM_F_MULTI, NLM_F_CAPPED, NLM_F_ACK_TLVS.
    let header = (1..6u16, select(vec![0, 2, 0x100, 0x200, 0x300, 0x302]));
    prop_oneof![
        place().prop_map(Damage::Cut),
        (1..12usize).prop_map(Damage::End),
        (place(), vec(byte, 1..6)).prop_map(|(place, values)| Damage::Bytes(place, values)),
        (place(), length).prop_map(|(place, length)| Damage::Length(place, length)),
        (place(), kind.clone()).prop_map(|(place, kind)| Damage::Kind(place, kind)),
        (kind, vec(any::<u8>(), 0..24)).prop_map(|(kind, value)| Damage::Grow(kind, value)),
        (place(), place()).prop_map(|(from, to)| Damage::Twice(from, to)),
        header.prop_map(|(kind, flags)| Damage::Header(kind, flags)),
        (place(), any::<bool>()).prop_map(|(message, padded)| Damage::Follow(message, padded)),
    ]
}

/// Where the attribute behind both headers starts, which is the nest that the message is about.
const NEST: usize = 20;

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let end = bytes.len();
        let word = |place: &Index| place.index(end / 4 + 1) * 4;
        match self {
            Self::Cut(place) => bytes.truncate(place.index(end + 1)),
            Self::End(less) => {
                bytes.truncate(end.saturating_sub(*less));
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                put(bytes, 0, &length.to_ne_bytes());
            }
            Self::Bytes(place, values) => put(bytes, place.index(end + 1), values),
            Self::Length(place, length) => put(bytes, word(place), &length.to_ne_bytes()),
            Self::Kind(place, kind) => put(bytes, word(place) + 2, &kind.to_ne_bytes()),
            Self::Grow(kind, value) => {
                let more = attribute(*kind, value);
                bytes.extend(&more);
                lengthen(bytes, 0, more.len());
                lengthen(bytes, NEST, more.len());
            }
            Self::Twice(from, to) => {
                let (from, to) = (word(from).min(end), word(to).min(end));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, part.iter().copied());
                lengthen(bytes, 0, part.len());
            }
            Self::Header(kind, flags) => put(bytes, 4, &[kind.to_ne_bytes(), flags.to_ne_bytes()].concat()),
            Self::Follow(message, padded) => {
                if *padded {
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                bytes.extend(message.get(corpus));
            }
        }
    }
}

/// Puts `value` over what stands at `place`, if there is that much.
fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    if let Some(there) = bytes.get_mut(place..place + value.len()) {
        there.copy_from_slice(value);
    }
}

/// A length of 16 bits, or the lower half of a message's, grows.
fn lengthen(bytes: &mut [u8], place: usize, more: usize) {
    if let Some(&[low, high]) = bytes.get(place..place + 2) {
        let length = usize::from(u16::from_ne_bytes([low, high])) + more;
        put(bytes, place, &u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    }
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let corpus = corpus::messages();
    (any::<Index>(), vec(damage(), 0..5)).prop_map(move |(message, damages)| {
        let mut bytes = message.get(&corpus).clone();
        for damage in damages {
            damage.apply(&mut bytes, &corpus);
        }
        bytes
    })
}

proptest! {
    // So many that each kind of damage meets each message; some seconds without optimisation.
    #![proptest_config(Config { cases: Config::default().cases.saturating_mul(60), ..Config::default() })]

    #[test]
    fn damaged_messages_are_read_without_harm(bytes in damaged()) {
        laws::hold(&bytes);
    }
}

/// The corpus itself: what was exchanged can be read, but for the errors that it is there to show.
#[test]
fn messages_as_they_were_exchanged_are_read() {
    for bytes in corpus::messages() {
        laws::hold(&bytes);
        for message in netlink_packet_ipvs::Messages::new(&bytes) {
            message.unwrap().content().unwrap();
        }
    }
}
