#!/bin/sh
# Ends this machine of the swarm `{{ cluster }}`: its time is up, or nobody holds the swarm's lease any more.
{%- if farewell %}
{{ farewell }}
{%- endif %}
exec systemctl poweroff
