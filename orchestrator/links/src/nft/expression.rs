//! The expressions that rules are made of, as the kernel reads them.
//!
//! Attributes are numbered as in `linux/netfilter/nf_tables.h`: `NFTA_META_*`, `NFTA_PAYLOAD_*`, `NFTA_BITWISE_*`,
//! `NFTA_CMP_*`, `NFTA_LOOKUP_*`, `NFTA_IMMEDIATE_*`, `NFTA_FIB_*`, `NFTA_CT_*`, `NFTA_NAT_*`.

use std::net::SocketAddrV4;

use crate::netlink::Attributes;

/// `NFT_REG_1`, which all loads go to and all comparisons read.
const REGISTER: u32 = 1;
/// `NFT_REG_2`, for the second of two values.
const SECOND_REGISTER: u32 = 2;
/// `NFT_REG_VERDICT`.
const VERDICT_REGISTER: u32 = 0;
/// `NFTA_DATA_VALUE`.
const DATA_VALUE: u16 = 1;
/// `NFTA_DATA_VERDICT`.
const DATA_VERDICT: u16 = 2;

/// What is read from a packet's company (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Meta {
    /// The name of the link it arrived by.
    ArrivingLink = 6,
    /// The name of the link it leaves by.
    LeavingLink = 7,
    /// IPv4 or IPv6 (`NFPROTO_*`).
    Family = 15,
    /// TCP or UDP.
    Transport = 16,
}

/// What is read from the connection that a packet belongs to (`NFT_CT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Connection {
    /// Whether it is new, established or related to another one.
    State = 0,
    /// What was done with it: bits of `IPS_*`.
    Status = 2,
}

/// Where in a packet something is read (`NFT_PAYLOAD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Base {
    /// Behind the link's header.
    Network = 1,
    /// Behind the network's header.
    Transport = 2,
}

/// What becomes of a packet (`NF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Verdict {
    /// It ends here.
    Drop = 0,
    /// It passes this chain.
    Accept = 1,
}

/// One expression; loads go to the register, comparisons read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// Loads something about the packet.
    LoadMeta(Meta),
    /// Loads bytes of the packet.
    LoadPayload {
        /// Counted from here.
        base: Base,
        /// The first byte.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// Loads something about the packet's connection.
    LoadConnection(Connection),
    /// Loads what kind of address it goes to (`RTN_*`).
    LoadDestinationKind,
    /// Keeps the bits of the register that are set in the mask.
    Mask(Vec<u8>),
    /// Goes on where the register has this value.
    Equals(Vec<u8>),
    /// Goes on where the register has another value.
    Differs(Vec<u8>),
    /// Goes on where the register's value is not in a set.
    NotIn(String),
    /// Decides.
    Decide(Verdict),
    /// Sends on under the address of the link it leaves by.
    Masquerade,
    /// Sends on to another address and port.
    Redirect(SocketAddrV4),
}

impl Expression {
    /// Names and data, each an element of a rule's list.
    pub(super) fn encode(&self) -> Vec<Attributes> {
        let (name, data) = match self {
            Self::LoadMeta(meta) => ("meta", load_meta(*meta)),
            Self::LoadPayload { base, offset, length } => ("payload", load_payload(*base, *offset, *length)),
            Self::Mask(mask) => ("bitwise", keep_bits(mask)),
            Self::Equals(expected) => ("cmp", compare(0, expected)),
            Self::Differs(expected) => ("cmp", compare(1, expected)),
            Self::NotIn(set) => ("lookup", look_up(set)),
            Self::Decide(verdict) => ("immediate", decide(*verdict)),
            Self::Masquerade => ("masq", Attributes::new()),
            Self::LoadConnection(what) => ("ct", load_connection(*what)),
            Self::LoadDestinationKind => ("fib", load_destination_kind()),
            Self::Redirect(destination) => {
                return vec![
                    named("immediate", &put(REGISTER, &destination.ip().octets())),
                    named("immediate", &put(SECOND_REGISTER, &destination.port().to_be_bytes())),
                    named("nat", &redirect()),
                ];
            }
        };
        vec![named(name, &data)]
    }
}

fn named(name: &str, data: &Attributes) -> Attributes {
    const NAME: u16 = 1;
    const DATA: u16 = 2;
    Attributes::new().text(NAME, name).nested(DATA, data)
}

/// A value, as the kernel wants it wrapped.
pub(super) fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().bytes(DATA_VALUE, bytes)
}

fn load_meta(meta: Meta) -> Attributes {
    Attributes::new().network_number(1, REGISTER).network_number(2, meta as u32)
}

fn load_payload(base: Base, offset: u32, length: u32) -> Attributes {
    Attributes::new()
        .network_number(1, REGISTER)
        .network_number(2, base as u32)
        .network_number(3, offset)
        .network_number(4, length)
}

fn keep_bits(mask: &[u8]) -> Attributes {
    let length = u32::try_from(mask.len()).expect("a mask is as long as an address");
    Attributes::new()
        .network_number(1, REGISTER)
        .network_number(2, REGISTER)
        .network_number(3, length)
        .nested(4, &value(mask))
        .nested(5, &value(&vec![0; mask.len()]))
}

fn compare(operation: u32, expected: &[u8]) -> Attributes {
    Attributes::new().network_number(1, REGISTER).network_number(2, operation).nested(3, &value(expected))
}

fn look_up(set: &str) -> Attributes {
    const INVERTED: u32 = 1;
    Attributes::new().text(1, set).network_number(2, REGISTER).network_number(5, INVERTED)
}

fn decide(verdict: Verdict) -> Attributes {
    let code = Attributes::new().network_number(1, verdict as u32);
    Attributes::new().network_number(1, VERDICT_REGISTER).nested(2, &Attributes::new().nested(DATA_VERDICT, &code))
}

fn load_connection(what: Connection) -> Attributes {
    Attributes::new().network_number(1, REGISTER).network_number(2, what as u32)
}

fn load_destination_kind() -> Attributes {
    // `NFT_FIB_RESULT_ADDRTYPE`, `NFTA_FIB_F_DADDR`
    Attributes::new().network_number(1, REGISTER).network_number(2, 3).network_number(3, 2)
}

fn put(register: u32, bytes: &[u8]) -> Attributes {
    Attributes::new().network_number(1, register).nested(2, &value(bytes))
}

/// To the address in the one register and the port in the other.
fn redirect() -> Attributes {
    // `NFT_NAT_DNAT`, `NFPROTO_IPV4`
    Attributes::new()
        .network_number(1, 1)
        .network_number(2, 2)
        .network_number(3, REGISTER)
        .network_number(5, SECOND_REGISTER)
}
