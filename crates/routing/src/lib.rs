//! Who answers a request, decided from evidence: pure functions over plain values.
//!
//! The story stands in [`cascade`]: tiers in order, each answer accepted, escalated or given to a
//! person. [`student`] is the tier that learns from a task's own labels, [`evidence`] turns what
//! an answer brings into one confidence, [`deferral`] into how likely it is right, [`agreement`] says whether two free texts say the same,
//! [`threshold`] finds from held-out records where to accept, [`folds`] keeps training and fitting
//! apart, [`evaluation`] says how good it is, and [`paired`] whether it is as good as another.
//! [`precall`] says before a tier is asked that its answer would be passed on anyway.
//!
//! Nothing here reads a file, a clock or a random source: data and seeds are passed in, sums run
//! in a fixed order and [`elementary`] stands in for the platform's logarithm and exponential, so
//! that the same input gives the same bits on any machine.

#![forbid(unsafe_code)]

pub mod agreement;
pub mod binomial;
pub mod cascade;
pub mod certificate;
pub mod checks;
pub mod deferral;
pub mod elementary;
pub mod evaluation;
pub mod evidence;
pub mod folds;
pub mod head;
pub mod monitor;
pub mod ngrams;
pub mod online;
pub mod paired;
pub mod precall;
pub mod random;
pub mod router;
pub mod student;
pub mod threshold;
