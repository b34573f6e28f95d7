# The environment of people on a head node; jobs get it with their submission.
set -a
. /etc/lsstpipe/settings
[ ! -e /etc/lsstpipe/environment ] || . /etc/lsstpipe/environment
set +a
