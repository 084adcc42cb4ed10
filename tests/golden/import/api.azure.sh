#!/bin/sh
# Brings the image `api` to Microsoft Azure, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import api --target azure` for one disk, and stops if it is another one.
set -eu

: "${RESOURCE_GROUP:?the resource group}"
: "${LOCATION:?its location, as westeurope}"
DISK=${DISK:-images/api/disk.vhd}
NAME=goldsmith-api-4f2f0750b568

echo "4f2f0750b5686e68ad7dd52f871f9240624d55fef87fb94f1f748859d9ee4c72  $DISK" | sha256sum -c - >&2

# The size of the file, with its footer: what is announced and what is uploaded must be the same.
az disk create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" --os-type Linux \
  --hyper-v-generation V2 --sku Standard_LRS --upload-type Upload --upload-size-bytes "$(stat -L -c %s "$DISK")" >&2
PLACE=$(az disk grant-access --resource-group "$RESOURCE_GROUP" --name "$NAME" --access-level Write \
  --duration-in-seconds 86400 --query accessSas --output tsv)
azcopy copy "$DISK" "$PLACE" --blob-type PageBlob >&2
az disk revoke-access --resource-group "$RESOURCE_GROUP" --name "$NAME" >&2

# Generation 2 starts by UEFI. (The same disk starts as generation 1 too: --hyper-v-generation V1, in both commands.)
IMAGE=$(az image create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" --source "$NAME" \
  --os-type Linux --hyper-v-generation V2 --tags goldsmith=api --query id --output tsv)

# The firewall of the image once more, outside of it. The last ones overrule what a group lets through by itself.
az network nsg create --resource-group "$RESOURCE_GROUP" --name "$NAME" --location "$LOCATION" >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name ssh-1 \
  --priority 100 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 22 --source-address-prefixes 0.0.0.0/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name ssh-2 \
  --priority 101 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 22 --source-address-prefixes ::/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name http-1 \
  --priority 102 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 80 --source-address-prefixes 0.0.0.0/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name http-2 \
  --priority 103 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 80 --source-address-prefixes ::/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name http-3 \
  --priority 104 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 443 --source-address-prefixes 0.0.0.0/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name http-4 \
  --priority 105 --direction Inbound --access Allow \
  --protocol Tcp --destination-port-ranges 443 --source-address-prefixes ::/0 >&2
az network nsg rule create --resource-group "$RESOURCE_GROUP" --nsg-name "$NAME" --name nothing-else-inbound \
  --priority 4096 --direction Inbound --access Deny \
  --protocol '*' --destination-port-ranges '*' --source-address-prefixes '*' >&2

# An instance of it. There is no agent in the image: cloud-init says that it is ready, and no extension is installed.
#   az vm create --resource-group "$RESOURCE_GROUP" --name api-1 --image "$IMAGE" --nsg "$NAME" --public-ip-address "" \
#     --size Standard_D2s_v5 --admin-username ops --ssh-key-values ops.pub --enable-agent false \
#     --custom-data "$(base64 -d bundles/api-1/cloud-user-data)"
echo "image $IMAGE"
