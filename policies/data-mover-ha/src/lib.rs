//! data-mover-ha
