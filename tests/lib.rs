//! The journeys live in `it`, one test binary.
