//! A model of two monitors and two sides, checked by its tests.
