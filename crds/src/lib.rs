//! The custom resources of lvs-operator.
