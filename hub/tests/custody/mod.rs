//! Whose a resource is, and what others may do to it. RX1 and RX2 are organisations of the region QWO.

#[path = "../../../service/tests/enforced/ca.rs"]
mod ca;
#[path = "../../../service/tests/enforced/issuer.rs"]
mod issuer;
mod kit;
mod owner;
mod proposal;
mod table;
