//! Another agent takes the place of the one that runs, and gives it back if it is no good.
