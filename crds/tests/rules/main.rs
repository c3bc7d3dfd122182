//! Every rule of the schemas, by the objects that it refuses, and the same objects through the conversion.

mod director_group;
mod structure;
mod table;
mod virtual_service;
