# SPDX-License-Identifier: Apache-2.0
complete -c twinlatch -f
complete -c twinlatch -n __fish_use_subcommand -a 'node pairing devices nodes exec ca journal status doctor version help'
complete -c twinlatch -n '__fish_seen_subcommand_from node' -a 'pair run status forget install uninstall start stop restart'
complete -c twinlatch -n '__fish_seen_subcommand_from pairing' -a 'mint codes cancel list watch approve reject'
complete -c twinlatch -n '__fish_seen_subcommand_from devices' -a 'list show rename suspend resume revoke clear remove role rotate confirm'
complete -c twinlatch -n '__fish_seen_subcommand_from nodes' -a 'list show watch'
complete -c twinlatch -n '__fish_seen_subcommand_from ca' -a 'show export'
complete -c twinlatch -n '__fish_seen_subcommand_from journal' -a 'show verify head'
complete -c twinlatch -l json -d 'Print JSON'
complete -c twinlatch -l socket -r -F -d 'Admin socket of twinlatchd'
complete -c twinlatch -l timeout -x -d 'How long to wait for an answer'
complete -c twinlatch -l state-dir -x -a '(__fish_complete_directories)' -d 'Where this computer keeps its pairings'
complete -c twinlatch -l help -d 'Show help'
