#!/bin/sh
# Stands in for claviger-agent: notes how it was started, lets the scripted socket appear, says its line.
{ printf '%s\n' "$*"; env; } > "$CLAVIGER_HOME/seen"
if [ -d "$CLAVIGER_HOME/run-later" ]; then mv "$CLAVIGER_HOME/run-later" "$CLAVIGER_HOME/run"; fi
cat "$CLAVIGER_HOME/line"
