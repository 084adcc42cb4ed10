//! Wish and answer: from what a recipe asks to exactly the packages that an image is made of.
//!
//! ```text
//!  Wish ──┐                        ┌──▶ Solution ──prove──▶ Locked ──▶ Lock ──▶ images/NAME.lock
//!         ├──▶ resolve ────────────┤
//!  Index ─┘  (pure; no network,    └──▶ Unsatisfiable: a tree of sentences
//!             no clock, no files)
//! ```
//!
//! | file | is |
//! |---|---|
//! | [`wish`] | question and answer: what is wished, what was chosen, and who asked for it |
//! | [`preference`] | which package apt would try first for a relation |
//! | [`walk`] | the order in which apt would go: a proposal for the solver |
//! | [`encoding`] | Debian's relations as the clauses of a SAT solver |
//! | [`resolve`](mod@resolve) | the resolution: candidates first, Recommends round by round, nothing that nobody asked for |
//! | [`closure`] | who asked for what |
//! | [`check`] | proves a solution anew, sharing nothing with the encoding |
//! | [`explain`], [`unsatisfiable`] | why there is no solution |
//! | [`file`](mod@file) | the lock as it is committed |
//! | [`changes`] | what one lock has that another has not |

mod ask;
pub mod changes;
pub mod check;
mod closure;
mod encoding;
mod explain;
pub mod file;
mod preference;
pub mod resolve;
#[cfg(test)]
mod small_archive;
pub mod unsatisfiable;
mod walk;
pub mod wish;
