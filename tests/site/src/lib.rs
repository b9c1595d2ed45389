//! A stand-in Data Mover site on loopback.
