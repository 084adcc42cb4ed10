//! What is claimed of an image, and what shows that it is so.

pub mod proof;
