# SPDX-License-Identifier: Apache-2.0
# bash completion for twinlatchd(8)

_twinlatchd ()
{
  local cur prev words cword
  _init_completion || return

  case $prev in
    --config | --socket)
      _filedir
      return
      ;;
    --state-dir)
      _filedir -d
      return
      ;;
  esac
  COMPREPLY=($(compgen -W '--config --user --state-dir --socket --check-config --print-ready --accept-truncated-log --accept-changed-pages --help --version' -- "$cur"))
} &&
  complete -F _twinlatchd twinlatchd
