# Other OCI runtimes below the monitor.
. /bin/support.sh
use_tools
BERTH_RUNTIME=/bin/berth-runtime BERTH_ISOLATION_ADDON=/tools/isolation.node node /tools/runtimes.mjs
