# bash completion for crispd(8). The flags are those of `crispd --help`.
_crispd() {
  local word="${COMP_WORDS[COMP_CWORD]}" flag="${COMP_WORDS[COMP_CWORD - 1]}" choices=""
  # `--flag=value` arrives as three words.
  [[ "$word" != "=" ]] || word=""
  [[ "$flag" != "=" ]] || flag="${COMP_WORDS[COMP_CWORD - 2]}"
  case "$flag" in
    --log-level) choices="debug info warn error" ;;
    --cgroup-driver) choices="cgroupfs systemd" ;;
    --cni-native) choices="true false" ;;
    --config | --address)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
    --root | --state | --*-dir | --registry-config-path)
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
    --streaming-address) return ;;
    *)
      choices="$("${COMP_WORDS[0]}" --help 2>/dev/null | sed -nE 's/^ *(-h,)?(--[a-z-]+).*/\2/p')"
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}
complete -o filenames -F _crispd crispd
