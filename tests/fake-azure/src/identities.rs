//! Identities that machines are lent, the roles that these are assigned, and what a machine may by them.
//!
//! Rules of Microsoft.ManagedIdentity 2023-01-31 and Microsoft.Authorization 2022-04-01. A principal that is named without
//! its type is looked up in the directory, which shows a new one only after a while. Of Azure's own roles, this knows a
//! few, and of what they permit only what may be done to a resource group: nothing else can be done here by an identity.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use crate::answer::{Answer, Answered, Refusal};
use crate::authority::Caller;
use crate::bodies::{self, AssignmentBody, IdentityBody, LentBody, Reference};
use crate::network::{key_of, location_required};
use crate::route::{Kind, Target};
use crate::world::{Item, Key, Progress, What, World};

/// Roles by their ids, and what of a resource group they permit.
const ROLES: [(&str, &[&str]); 5] = [
    // Owner, Contributor, Resource Group Contributor.
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", &["GET", "PUT", "PATCH", "DELETE"]),
    ("b24988ac-6180-42a0-ab88-20f7382dd24c", &["GET", "PUT", "PATCH", "DELETE"]),
    ("94877a25-7520-40c5-9c42-68e02e4758bd", &["GET", "PUT", "PATCH", "DELETE"]),
    // Reader, Virtual Machine Contributor.
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", &["GET"]),
    ("9980e02c-c2be-4d73-94e8-173b1dc7cf3c", &["GET"]),
];

/// An identity.
#[derive(Debug, Clone)]
pub(crate) struct IdentityRecord {
    pub(crate) principal: String,
    pub(crate) client: String,
    /// From when on the directory shows it.
    pub(crate) shown_from: Instant,
}

/// A role that is assigned at the scope of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) role: String,
    pub(crate) principal: String,
}

impl World {
    pub(crate) fn put_identity(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let body: IdentityBody = bodies::read(body)?;
        let location = body.location.ok_or_else(location_required)?;
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if !(3..=128).contains(&name.len()) || !name.chars().all(is_name) {
            return Err(Refusal::new(400, "BadRequest", format!("The identity's name '{name}' is not valid.")));
        }
        let key = Key::new(group, Kind::Identity, name);
        if let Some(item) = self.items.get_mut(&key) {
            item.tags = body.tags;
            return Ok(Answer::json(200, self.view(&key)));
        }
        let mut guid = || format!("{:08x}-1111-4111-8111-111111111111", self.next_number());
        let (principal, client) = (guid(), guid());
        let record = IdentityRecord { principal, client, shown_from: self.now + self.settings.replication };
        let item = Item {
            group: self.groups.get(&key.group).map_or_else(|| group.to_owned(), |group| group.name.clone()),
            name: name.to_owned(),
            location,
            tags: body.tags,
            zones: Vec::new(),
            progress: Progress::Succeeded,
            appears_at: self.now,
            what: What::Identity(record),
        };
        self.items.insert(key.clone(), item);
        Ok(Answer::json(201, self.view(&key)))
    }

    pub(crate) fn delete_identity(&mut self, key: &Key) -> Answered {
        self.group_to_write(&key.group)?;
        let status = if self.items.remove(key).is_some() { 200 } else { 204 };
        Ok(Answer::empty(status))
    }

    /// The identities that a machine's body names, all of which must exist.
    pub(crate) fn lent(&self, body: Option<&LentBody>) -> Result<Vec<Key>, Refusal> {
        let Some(LentBody { kind, user_assigned_identities: named }) = body else { return Ok(Vec::new()) };
        match (kind.as_str(), named.is_empty()) {
            ("UserAssigned", false) => {}
            ("UserAssigned", true) => {
                let message = "The identity ids must not be null or empty for 'UserAssigned' identity type.";
                return Err(Refusal::new(400, "InvalidIdentityIds", message));
            }
            _ => return Err(Refusal::bad("This fake lends identities of the type UserAssigned.")),
        }
        let find = |id: &String| {
            let key = key_of(&Reference { id: id.clone() })?;
            if self.items.get(&key).is_some_and(|item| item.what.identity().is_some()) {
                return Ok(key);
            }
            let message = format!("Failed to perform resource identity operation. The resource {id} was not found.");
            Err(Refusal::new(400, "FailedIdentityOperation", message))
        };
        named.keys().map(find).collect()
    }

    pub(crate) fn put_assignment(&mut self, group: &str, name: &str, body: &[u8]) -> Answered {
        self.group_to_write(group)?;
        let AssignmentBody { properties } = bodies::read(body)?;
        if !is_guid(name) {
            let message =
                format!("The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.");
            return Err(Refusal::new(400, "InvalidRoleAssignmentId", message));
        }
        let role = self.role(&properties.role_definition_id)?;
        let principal = properties.principal_id.to_lowercase();
        let identity =
            self.items.values().filter_map(|item| item.what.identity()).find(|own| own.principal == principal);
        let is_looked_up = properties.principal_type.as_deref() != Some("ServicePrincipal");
        if identity.is_none_or(|identity| is_looked_up && identity.shown_from > self.now) {
            let message = format!("Principal {principal} does not exist in the directory {}.", self.settings.tenant);
            return Err(Refusal::new(400, "PrincipalNotFound", message));
        }
        let scope = group.to_lowercase();
        let wanted = Assignment { role, principal };
        let key = (scope.clone(), name.to_lowercase());
        let status = match self.assignments.get(&key) {
            Some(existing) if *existing == wanted => 200,
            Some(_) => {
                let message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
                return Err(Refusal::new(400, "RoleAssignmentUpdateNotPermitted", message));
            }
            None => 201,
        };
        if self.assignments.iter().any(|(own, existing)| own.0 == scope && *own != key && *existing == wanted) {
            return Err(Refusal::new(409, "RoleAssignmentExists", "The role assignment already exists."));
        }
        let id = self.assignment_id(&key);
        let view = json!({ "id": id, "name": name, "type": "Microsoft.Authorization/roleAssignments", "properties": {
            "roleDefinitionId": properties.role_definition_id,
            "principalId": wanted.principal,
            "principalType": "ServicePrincipal",
        }});
        self.assignments.insert(key, wanted);
        Ok(Answer::json(status, view))
    }

    /// The id of an assignment.
    pub(crate) fn assignment_id(&self, (group, name): &(String, String)) -> String {
        let group = self.groups.get(group).map_or(group.as_str(), |group| group.name.as_str());
        let subscription = &self.settings.subscription;
        let kind = "Microsoft.Authorization/roleAssignments";
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}")
    }

    /// The role that a definition's id names.
    fn role(&self, definition: &str) -> Result<String, Refusal> {
        let prefix =
            format!("/subscriptions/{}/providers/microsoft.authorization/roledefinitions/", self.settings.subscription);
        let lower = definition.to_lowercase();
        let role = lower.strip_prefix(&prefix.to_lowercase()).filter(|role| ROLES.iter().any(|(id, _)| id == role));
        role.map(str::to_owned).ok_or_else(|| {
            let message = format!("The specified role definition with ID '{definition}' does not exist.");
            Refusal::new(404, "RoleDefinitionDoesNotExist", message)
        })
    }

    /// Refuses what a caller may not do: the application may do everything, a machine what the roles of the identity
    /// permit by which it calls, for as long as it is lent that.
    pub(crate) fn authorize(&self, caller: &Caller, method: &str, target: &Target) -> Result<(), Refusal> {
        let Caller::Machine { machine, identity } = caller else { return Ok(()) };
        let is_lent =
            self.items.get(machine).and_then(|item| item.what.machine()).is_some_and(|own| own.lent.contains(identity));
        let principal = self.items.get(identity).and_then(|item| item.what.identity()).map(|own| &own.principal);
        let is_permitted = |assignment: &Assignment| {
            let role = ROLES.iter().find(|(id, _)| *id == assignment.role);
            Some(&assignment.principal) == principal && role.is_some_and(|(_, methods)| methods.contains(&method))
        };
        if let Target::Group { name } = target {
            let scope = name.to_lowercase();
            if is_lent
                && self.assignments.iter().any(|((own, _), assignment)| *own == scope && is_permitted(assignment))
            {
                return Ok(());
            }
        }
        let message = format!("The client does not have authorization to perform action '{method} {}'.", target.kind());
        Err(Refusal::new(403, "AuthorizationFailed", message))
    }

    /// The machine that has a private address and is on.
    pub(crate) fn machine_at(&self, address: std::net::IpAddr) -> Option<(Key, &crate::machines::MachineRecord)> {
        self.items.iter().find_map(|(key, item)| {
            let machine = item.what.machine().filter(|machine| !machine.is_deallocated)?;
            let interface = self.items.get(&machine.interface)?.what.interface()?;
            (interface.private == address).then(|| (key.clone(), machine))
        })
    }

    /// The identity that a machine asks for by its resource id, or the only one that it is lent.
    pub(crate) fn identity_of(&self, lent: &[Key], query: &BTreeMap<String, String>) -> Option<Key> {
        match (query.get("msi_res_id"), lent) {
            (Some(id), _) => lent.iter().find(|key| self.id(key).eq_ignore_ascii_case(id)).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }
}

fn is_guid(name: &str) -> bool {
    let lengths: Vec<_> = name.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && name.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-')
}
