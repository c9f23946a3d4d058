//! The list of tables: the one place where a new kind of object is entered.

mod cluster;
mod node;
mod service;
mod task;

use std::sync::Arc;

use jiff::Timestamp;
use model::Version;
use serde::{Deserialize, Serialize};

use crate::Event;
use crate::table::{Amendment, Change, Table};

use cluster::ClusterTable;
use node::NodeTable;
use service::ServiceTable;
use task::TaskTable;

macro_rules! tables {
    ($($field:ident: $variant:ident($table:ty),)+) => {
        /// All tables. Cloning shares everything.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Tables {
            $(pub(crate) $field: $table,)+
        }

        /// A change of an object of any kind.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum AnyChange {
            $($variant(Change<$table>),)+
        }

        impl AnyChange {
            /// Whether it says what is different, and not what all of the object is.
            pub(crate) fn is_amendment(&self) -> bool {
                match self {
                    $(Self::$variant(change) => matches!(change, Change::Amend(..)),)+
                }
            }
        }

        /// All objects, as a snapshot carries them. A kind that an older version did not know is absent there.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct Objects {
            $($field: Vec<<$table as Table>::Object>,)+
        }

        /// The same, borrowed to be written.
        #[derive(Debug, Serialize)]
        pub(crate) struct ObjectsRef<'o> {
            $($field: Vec<&'o <$table as Table>::Object>,)+
        }

        impl Tables {
            /// Makes a change, as of an entry, and tells its event; `None` if there was nothing to remove.
            pub(crate) fn apply(&mut self, change: AnyChange, version: Version, time: Timestamp) -> Option<Event> {
                match change {
                    $(AnyChange::$variant(change) => apply(&mut self.$field, change, version, time),)+
                }
            }

            /// All objects.
            pub(crate) fn objects(&self) -> ObjectsRef<'_> {
                ObjectsRef { $($field: self.$field.objects().map(Arc::as_ref).collect(),)+ }
            }
        }

        impl From<Objects> for Tables {
            fn from(objects: Objects) -> Self {
                let mut tables = Self::default();
                $(objects.$field.into_iter().for_each(|object| tables.$field.put(Arc::new(object)));)+
                tables
            }
        }

        $(impl From<Change<$table>> for AnyChange {
            fn from(change: Change<$table>) -> Self {
                Self::$variant(change)
            }
        }

        impl AsRef<$table> for Tables {
            fn as_ref(&self) -> &$table {
                &self.$field
            }
        }

        impl AsMut<$table> for Tables {
            fn as_mut(&mut self) -> &mut $table {
                &mut self.$field
            }
        })+
    };
}

tables! {
    nodes: Node(NodeTable),
    cluster: Cluster(ClusterTable),
    services: Service(ServiceTable),
    tasks: Task(TaskTable),
}

fn apply<T: Table>(table: &mut T, change: Change<T>, version: Version, time: Timestamp) -> Option<Event> {
    match change {
        Change::Put(object) => Some(put(table, object, version, time)),
        Change::Amend(key, amendment) => {
            let mut object = T::Object::clone(table.get(&key)?);
            amendment.apply(&mut object);
            Some(put(table, object, version, time))
        }
        Change::Remove(key) => table.remove(&key).map(T::removed),
    }
}

/// Adds or replaces an object, as of a version, and tells its event.
pub(crate) fn put<T: Table>(table: &mut T, mut object: T::Object, version: Version, time: Timestamp) -> Event {
    let known = table.get(&T::key(&object));
    let created_at = known.map_or(time, |known| T::meta(known).created_at);
    T::settle(&mut object, known, version);
    *T::meta_mut(&mut object) = model::Meta { version, created_at, updated_at: time };
    let event = T::changed(&object, known);
    table.put(Arc::new(object));
    event
}
