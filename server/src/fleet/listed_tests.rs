//! Lists and counts of a fleet.
