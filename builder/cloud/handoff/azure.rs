//! Microsoft Azure: a managed disk by upload, an image of it, a network security group; as the clients `az` and `azcopy` take
//! it. Groups of machines are application security groups there.

use super::{Direction, Own, Parts, Rule, Whom, group};
use crate::recipe::firewall::Protocol;

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let mut variables: Vec<(String, String)> =
        [("RESOURCE_GROUP", "the resource group"), ("LOCATION", "its location, as westeurope")]
            .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
            .into();
    variables.extend(parts.groups("the application security group, by its name, of"));
    let image = parts.image();
    let rules: String = parts.rules.iter().enumerate().map(|(number, rule)| line(number, rule)).collect();
    let mut shut = deny("Inbound");
    if parts.shut {
        shut += &deny("Outbound");
    }
    let commands = format!(
        r#"# The size of the file, with its footer: what is announced and what is uploaded must be the same.
az disk create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" --os-type Linux \
  --hyper-v-generation V2 --sku Standard_LRS --upload-type Upload --upload-size-bytes "$(stat -L -c %s "$DISK")" >&2
PLACE=$(az disk grant-access --resource-group "$RESOURCE_GROUP" --name "$NAME" --access-level Write \
  --duration-in-seconds 86400 --query accessSas --output tsv)
azcopy copy "$DISK" "$PLACE" --blob-type PageBlob >&2
az disk revoke-access --resource-group "$RESOURCE_GROUP" --name "$NAME" >&2

# Generation 2 starts by UEFI. (The same disk starts as generation 1 too: --hyper-v-generation V1, in both commands.)
IMAGE=$(az image create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" --source "$NAME" \
  --os-type Linux --hyper-v-generation V2 --tags goldsmith={image} --query id --output tsv)

# The firewall of the image once more, outside of it. The last ones overrule what a group lets through by itself.
az network nsg create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" >&2
{rules}{shut}
# An instance of it. There is no agent in the image: cloud-init says that it is ready, and no extension is installed.
#   az vm create --resource-group "$RESOURCE_GROUP" --name {image}-1 --image "$IMAGE" --nsg "$NAME" --public-ip-address "" \
#     --size Standard_D2s_v5 --admin-username ops --ssh-key-values ops.pub --enable-agent false \
#     --custom-data "$(base64 -d bundles/{image}-1/cloud-user-data)"
echo "image $IMAGE"
"#
    );
    Own { provider: "Microsoft Azure", variables, commands }
}

fn line(number: usize, rule: &Rule) -> String {
    let (direction, side) = match rule.direction {
        Direction::In => ("Inbound", "source"),
        Direction::Out => ("Outbound", "destination"),
    };
    let whom = match &rule.whom {
        Whom::Network(network) => format!("--{side}-address-prefixes {network}"),
        Whom::Named(name) => format!("--{side}-asgs \"${}\"", group::variable(name)),
    };
    let protocol = if rule.protocol == Protocol::Tcp { "Tcp" } else { "Udp" };
    create(
        &rule.name,
        &format!("{} --direction {direction} --access Allow", 100 + number),
        &format!("--protocol {protocol} --destination-port-ranges {} {whom}", rule.ports),
    )
}

fn deny(direction: &str) -> String {
    create(
        &format!("nothing-else-{}", direction.to_lowercase()),
        &format!("4096 --direction {direction} --access Deny"),
        "--protocol '*' --destination-port-ranges '*' --source-address-prefixes '*'",
    )
}

fn create(name: &str, how: &str, what: &str) -> String {
    format!(
        "az network nsg rule create --resource-group \"$RESOURCE_GROUP\" --nsg-name \"$NAME\" --name {name} \\\n  \
         --priority {how} \\\n  {what} >&2\n"
    )
}
