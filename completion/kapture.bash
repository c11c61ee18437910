# bash completion for kapture; made by tools/pages.lua.
_kapture() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word
    # --from=file comes as three words, or as two where nothing follows the sign
    if [ "$cur" = = ]; then
        cur=
    elif [ "$prev" = = ]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in get|doctor|sandbox) command=$word; break ;; esac
    done
    COMPREPLY=()
    case $prev in
        -f|--from|--resume|--missing|--failed|--config|--ca-file|--cert|--key|--ready)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --ca-path)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
        -o|--output)
            mapfile -t COMPREPLY < <(compgen -W "table json ndjson csv" -- "$cur"); return ;;
        --conversation-type)
            mapfile -t COMPREPLY < <(compgen -W "all notes chat" -- "$cur"); return ;;
        --history-type)
            mapfile -t COMPREPLY < <(compgen -W "all" -- "$cur"); return ;;
        --fields|--where|--profile|--header|--subdomain|--base-url|--assigned|--disposed|--response|--landing-queue|--create|--resolved|--include-emailbody|--timeout|--connect-timeout|--deadline|--retries|--backoff|--max-backoff|--batch-size|--concurrency|--rate|--max-response-bytes|--proxy|--user-agent|--port|--token)
            return ;;
    esac
    case $command in
        '') word="get doctor sandbox --help --version" ;;
        get) word="-h --help -f --from -o --output --fields --plain --excel --where --resume --missing --failed --partial -q --quiet --profile --config --header --subdomain --base-url --conversation-type --history-type --assigned --disposed --response --landing-queue --create --resolved --include-emailbody --timeout --connect-timeout --deadline --retries --backoff --max-backoff --batch-size --concurrency --rate --no-isolate --max-response-bytes --no-compression --insecure --ca-file --ca-path --cert --key --proxy --user-agent" ;;
        doctor) word="-h --help --profile --config --header --subdomain --base-url --conversation-type --history-type --assigned --disposed --response --landing-queue --create --resolved --include-emailbody --timeout --connect-timeout --deadline --retries --backoff --max-backoff --batch-size --concurrency --rate --no-isolate --max-response-bytes --no-compression --insecure --ca-file --ca-path --cert --key --proxy --user-agent" ;;
        sandbox) word="-h --help --port --ready --token --faults" ;;
    esac
    case $command:$cur in
        :*|*:-*) mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur") ;;
        sandbox:*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    esac
}
complete -F _kapture kapture
