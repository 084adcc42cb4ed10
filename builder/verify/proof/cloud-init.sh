# The schema is that of user-data, whose first line says what it is; what only the system's own files may say is not in it.
python3 -c '
import json, yaml
configuration = yaml.safe_load(open("/etc/cloud/cloud.cfg.d/99-goldsmith.cfg"))
for key in ("allow_userdata", "datasource", "datasource_list", "system_info", "vendor_data", "vendor_data2"):
    configuration.pop(key, None)
# The schema wants one kind of host key at least; cloud-init makes none where the list is empty, and that is meant.
if configuration.get("ssh_genkeytypes") == []:
    del configuration["ssh_genkeytypes"]
open("/tmp/cloud.cfg", "w").write("#cloud-config\n" + json.dumps(configuration))
'
# (That of Debian 11 does not count it among its commands yet.)
case $(cloud-init --help) in
*schema*) cloud-init schema --config-file /tmp/cloud.cfg 2>&1 ;;
*) cloud-init devel schema --config-file /tmp/cloud.cfg 2>&1 ;;
esac
