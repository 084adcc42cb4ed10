#!/bin/sh
# Brings the image `db` to Google Compute Engine, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import db --target gcp` for one disk, and stops if it is another one.
set -eu

: "${PROJECT:?the project}"
: "${REGION:?where the image is kept, as europe-west3}"
: "${BUCKET:?a bucket of Cloud Storage}"
: "${NETWORK:?the VPC network of the instances}"
: "${API_GROUP:?the network tag (to be reached: the range of addresses, as 10.0.0.20/32) of api}"
DISK=${DISK:-images/db/disk.raw.tar.gz}
NAME=goldsmith-db-489a7ea81d0a

echo "489a7ea81d0aa02028fc6fb5a26f769fc41a6a6607e648696edee3419d26c6b3  $DISK" | sha256sum -c - >&2

export CLOUDSDK_CORE_PROJECT="$PROJECT"

gcloud storage cp "$DISK" "gs://$BUCKET/$NAME.tar.gz" >&2
gcloud compute images create "$NAME" --source-uri "gs://$BUCKET/$NAME.tar.gz" --family goldsmith-db \
  --description "db, by Goldsmith" --storage-location "$REGION" --architecture X86_64 \
  --guest-os-features UEFI_COMPATIBLE,VIRTIO_SCSI_MULTIQUEUE,GVNIC >&2
gcloud storage rm "gs://$BUCKET/$NAME.tar.gz" >&2

# The firewall of the image once more, outside of it: for every instance with the tag db. The last ones overrule what a
# network lets in by itself, and what comes from machines without a tag.
gcloud compute firewall-rules create "$NAME-database" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:3306 --priority 1000 --source-tags "$API_GROUP" --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ssh" --network "$NETWORK" --direction INGRESS \
  --action ALLOW --rules tcp:22 --priority 1000 --source-tags "$API_GROUP" --target-tags db >&2
gcloud compute firewall-rules create "$NAME-dns-1" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules udp:53 --priority 1000 --destination-ranges 0.0.0.0/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-dns-2" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules udp:53 --priority 1000 --destination-ranges ::/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-dns-long-1" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules tcp:53 --priority 1000 --destination-ranges 0.0.0.0/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-dns-long-2" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules tcp:53 --priority 1000 --destination-ranges ::/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ntp-1" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules udp:123 --priority 1000 --destination-ranges 0.0.0.0/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ntp-2" --network "$NETWORK" --direction EGRESS \
  --action ALLOW --rules udp:123 --priority 1000 --destination-ranges ::/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ipv4-no-in" --network "$NETWORK" --direction INGRESS \
  --action DENY --rules all --priority 65000 --source-ranges 0.0.0.0/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ipv6-no-in" --network "$NETWORK" --direction INGRESS \
  --action DENY --rules all --priority 65000 --source-ranges ::/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ipv4-no-out" --network "$NETWORK" --direction EGRESS \
  --action DENY --rules all --priority 65000 --destination-ranges 0.0.0.0/0 --target-tags db >&2
gcloud compute firewall-rules create "$NAME-ipv6-no-out" --network "$NETWORK" --direction EGRESS \
  --action DENY --rules all --priority 65000 --destination-ranges ::/0 --target-tags db >&2

# An instance of it (its metadata service answers only to a header, and in the image only to root):
#   gcloud compute instances create db-1 --image "$NAME" --network "$NETWORK" --tags db --no-address \
#     --machine-type c3-standard-4 --network-interface nic-type=GVNIC --shielded-secure-boot --shielded-vtpm \
#     --no-service-account --no-scopes --metadata user-data-encoding=base64 \
#     --metadata-from-file user-data=bundles/db-1/cloud-user-data
echo "image $NAME"
