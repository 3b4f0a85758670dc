//! What a refused operation means for whoever asked.

use homing_doveadm::own::{Failure, FailureKind};

use crate::director::core::OperationError;

/// The kind decides about the exit status, as it does for the requests of doveadm.
pub(super) fn of(error: &OperationError) -> Failure {
    let kind = match error {
        OperationError::UnknownHost(_) | OperationError::UnknownFlush | OperationError::UnknownDrain(_) => {
            FailureKind::NotFound
        }
        OperationError::BeingMoved | OperationError::TooManyFlushes | OperationError::TooManyDrains => {
            FailureKind::TryAgain
        }
        _ => FailureKind::Refused,
    };
    Failure::new(kind, error.to_string())
}
