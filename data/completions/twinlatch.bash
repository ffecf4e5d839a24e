# SPDX-License-Identifier: Apache-2.0
# bash completion for twinlatch(1). tests/unit/cli compares it with the program's verb table.

_twinlatch_options ()
{
  case $1 in
    "node pair") echo "--gateway --from --name --kind --replace --yes --system" ;;
    "node run") echo "--gateway --config --root --transport --from --yes --system --print-ready" ;;
    "node status") echo "--system" ;;
    "node forget") echo "--yes --system" ;;
    "node install") echo "--system --start --config --dry-run --gateway" ;;
    "node uninstall") echo "--system --dry-run --gateway" ;;
    "node start") echo "--system --gateway" ;;
    "node stop") echo "--system --gateway" ;;
    "node restart") echo "--system --gateway" ;;
    "pairing mint") echo "--pin --link --qr --ttl --role --label --auto-approve --attempts --out" ;;
    "pairing codes") echo "--all" ;;
    "pairing cancel") echo "" ;;
    "pairing list") echo "--all" ;;
    "pairing watch") echo "" ;;
    "pairing approve") echo "--code" ;;
    "pairing reject") echo "--reason" ;;
    "devices list") echo "--all --state --role --connected --approved-by" ;;
    "devices show") echo "" ;;
    "devices rename") echo "" ;;
    "devices suspend") echo "--reason --dry-run" ;;
    "devices resume") echo "--reason" ;;
    "devices revoke") echo "--reason --dry-run --yes" ;;
    "devices clear") echo "--reason" ;;
    "devices remove") echo "--reason --dry-run --yes" ;;
    "devices role") echo "--reason --dry-run --yes" ;;
    "devices rotate") echo "" ;;
    "devices confirm") echo "--reason --yes" ;;
    "nodes list") echo "" ;;
    "nodes show") echo "" ;;
    "nodes watch") echo "" ;;
    "nodes capability") echo "" ;;
    "exec") echo "--timeout --expires --no-wait --detach --max-output --raw" ;;
    "requests list") echo "--device --capability --state --by --since --limit" ;;
    "requests show") echo "--follow --raw" ;;
    "requests cancel") echo "--reason --no-wait" ;;
    "ca show") echo "" ;;
    "ca export") echo "--out" ;;
    "journal show") echo "--follow --kind --device --actor --subject --since --until --limit" ;;
    "journal verify") echo "--head --offline --database" ;;
    "journal head") echo "" ;;
    "events") echo "--follow --from" ;;
    "status") echo "" ;;
    "doctor") echo "--gateway --daemon --system --config" ;;
    "version") echo "" ;;
    "help") echo "--list-verbs" ;;
  esac
}

# Members of what a list verb prints, a word each. Only what a shell takes as it is: names are strangers' text. At most a
# second, and silent: no daemon, no rights, no answer are no suggestions.
_twinlatch_ask ()
{
  local members=$1
  shift
  timeout 1 twinlatch "$@" --json 2>/dev/null </dev/null |
    grep -oE "\"($members)\":\"[A-Za-z0-9._:-]+\"" | cut -d '"' -f 4
}

# What the first argument of a verb may be.
_twinlatch_things ()
{
  case $1 in
    "devices list") ;;
    "devices "* | exec) _twinlatch_ask "device_id|name" devices list ;;
    "nodes show" | "nodes capability") _twinlatch_ask "device_id|name" nodes list ;;
    "pairing approve" | "pairing reject") _twinlatch_ask "request_id" pairing list ;;
    "requests show" | "requests cancel") _twinlatch_ask "request_id" requests list ;;
    "pairing cancel") _twinlatch_ask "code_id" pairing codes ;;
    "node forget" | gateway) _twinlatch_ask "gateway_id|gateway_name" node status ;;
  esac
}

_twinlatch ()
{
  local cur prev words cword
  _init_completion || return

  local global="--json --gateway --socket --timeout --state-dir --no-color --help --version"
  local verb="" word group="" complete="" arguments=0
  for word in "${words[@]:1:cword-1}"; do
    [[ $word == -* ]] && continue
    [[ -n $complete ]] && ((arguments++))
    [[ -n $complete ]] && continue
    case $word in
      node | pairing | devices | nodes | requests | ca | journal) [[ -z $verb ]] && group=$word && verb=$word && continue ;;
    esac
    if [[ -z $verb ]]; then
      verb=$word
    elif [[ -n $group && $verb == "$group" ]]; then
      verb="$group $word"
    fi
    complete=yes
  done

  case $prev in
    --from | --config | --out | --socket | --database)
      _filedir
      return
      ;;
    --state-dir | --offline)
      _filedir -d
      return
      ;;
    --root)
      compopt -o nospace
      return
      ;;
    --kind)
      COMPREPLY=($(compgen -W "node cli" -- "$cur"))
      return
      ;;
    --role)
      COMPREPLY=($(compgen -W "node operator" -- "$cur"))
      return
      ;;
    --gateway)
      [[ $verb == "node pair" ]] || COMPREPLY=($(compgen -W "$(_twinlatch_things gateway)" -- "$cur"))
      return
      ;;
    --state)
      if [[ $verb == devices* ]]; then
        COMPREPLY=($(compgen -W "active suspended revoked removed" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "open queued dispatched awaiting_consent running succeeded failed denied timed_out cancelled expired" -- "$cur"))
      fi
      return
      ;;
    --name | --ttl | --label | --attempts | --code | --reason | --timeout | --expires | --max-output | \
      --device | --capability | --by | --since | --limit | --kind | --actor | --subject | --until | --head | --approved-by)
      return
      ;;
  esac

  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_twinlatch_options "$verb") $global" -- "$cur"))
    return
  fi
  case $verb in
    "" | help) COMPREPLY=($(compgen -W "node pairing devices nodes exec requests ca journal events status doctor version help" -- "$cur")) ;;
    node) COMPREPLY=($(compgen -W "pair run status forget install uninstall start stop restart" -- "$cur")) ;;
    pairing) COMPREPLY=($(compgen -W "mint codes cancel list watch approve reject" -- "$cur")) ;;
    devices) COMPREPLY=($(compgen -W "list show rename suspend resume revoke clear remove role rotate confirm" -- "$cur")) ;;
    nodes) COMPREPLY=($(compgen -W "list show watch capability" -- "$cur")) ;;
    requests) COMPREPLY=($(compgen -W "list show cancel" -- "$cur")) ;;
    ca) COMPREPLY=($(compgen -W "show export" -- "$cur")) ;;
    journal) COMPREPLY=($(compgen -W "show verify head" -- "$cur")) ;;
    *) ((arguments == 0)) && COMPREPLY=($(compgen -W "$(_twinlatch_things "$verb")" -- "$cur")) ;;
  esac
} &&
  complete -F _twinlatch twinlatch
