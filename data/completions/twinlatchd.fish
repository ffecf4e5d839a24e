# SPDX-License-Identifier: Apache-2.0
complete -c twinlatchd -f
complete -c twinlatchd -l config -r -F -d 'Configuration file'
complete -c twinlatchd -l user -d "Run in this user's session, with XDG directories"
complete -c twinlatchd -l state-dir -x -a '(__fish_complete_directories)' -d 'Folder for database and secrets'
complete -c twinlatchd -l socket -r -F -d 'Admin socket'
complete -c twinlatchd -l check-config -d 'Check the configuration and exit'
complete -c twinlatchd -l print-ready -d 'Print one line of JSON when ready'
complete -c twinlatchd -l accept-truncated-log -d 'Go on without what a damaged log cannot give back'
complete -c twinlatchd -l accept-changed-pages -d 'Take the store as another program left it'
complete -c twinlatchd -l help -d 'Show help'
complete -c twinlatchd -l version -d 'Show the version'
