#!/bin/sh
# Brings the image `api` to Google Compute Engine, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import api --target gcp` for one disk, and stops if it is another one.
set -eu

: "${PROJECT:?the project}"
: "${REGION:?where the image is kept, as europe-west3}"
: "${BUCKET:?a bucket of Cloud Storage}"
: "${NETWORK:?the VPC network of the instances}"
DISK=${DISK:-images/api/disk.raw.tar.gz}
NAME=goldsmith-api-489a7ea81d0a

echo "489a7ea81d0aa02028fc6fb5a26f769fc41a6a6607e648696edee3419d26c6b3  $DISK" | sha256sum -c - >&2

export CLOUDSDK_CORE_PROJECT="$PROJECT"

gcloud storage cp "$DISK" "gs://$BUCKET/$NAME.tar.gz" >&2
gcloud compute images create "$NAME" --source-uri "gs://$BUCKET/$NAME.tar.gz" --family goldsmith-api \
  --description "api, by Goldsmith" --storage-location "$REGION" --architecture X86_64 \
  --guest-os-features UEFI_COMPATIBLE,VIRTIO_SCSI_MULTIQUEUE,GVNIC >&2
gcloud storage rm "gs://$BUCKET/$NAME.tar.gz" >&2

# The firewall of the image once more, outside of it: for every instance with the tag api. The last ones overrule what a
# network lets in by itself, and what comes from machines without a tag.
gcloud compute firewall-rules create "$NAME-ssh-1" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:22 --priority 1000 --source-ranges 0.0.0.0/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-ssh-2" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:22 --priority 1000 --source-ranges ::/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-http-1" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:80 --priority 1000 --source-ranges 0.0.0.0/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-http-2" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:80 --priority 1000 --source-ranges ::/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-http-3" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:443 --priority 1000 --source-ranges 0.0.0.0/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-http-4" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:443 --priority 1000 --source-ranges ::/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-ipv4-no-in" --network "$NETWORK" --direction INGRESS \
  --action DENY --rules all --priority 65000 --source-ranges 0.0.0.0/0 --target-tags api >&2
gcloud compute firewall-rules create "$NAME-ipv6-no-in" --network "$NETWORK" --direction INGRESS \
  --action DENY --rules all --priority 65000 --source-ranges ::/0 --target-tags api >&2

# An instance of it (its metadata service answers only to a header, and in the image only to root):
#   gcloud compute instances create api-1 --image "$NAME" --network "$NETWORK" --tags api --no-address \
#     --machine-type c3-standard-4 --network-interface nic-type=GVNIC --shielded-secure-boot --shielded-vtpm \
#     --no-service-account --no-scopes --metadata user-data-encoding=base64 \
#     --metadata-from-file user-data=bundles/api-1/cloud-user-data
echo "image $NAME"
