//! The order rules of a launch: each says what must come before what, and fails as well if one of the two is missing.

use super::*;
