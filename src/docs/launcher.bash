# bash completion for launcher; made by `make docs` from the table that launcher itself reads options by. Takes a
# program's own completion from bash-completion if that is there, and does not need it.

# Sets words to what launcher would get, up to the cursor, and at to where each begins: bash splits at = and : too.
_launcher_split() {
    local i rest=${COMP_LINE-${COMP_WORDS[*]}}
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if ((i)) && [[ $rest && $rest != [[:blank:]]* ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}") at+=("$i")
        fi
        rest=${rest#*"${COMP_WORDS[i]}"}
    done
}

# Reads the words before the cursor. Sets mode; valued to the option whose value is under the cursor, init-n for a
# letter; program to the place of the program if it has come.
_launcher_scan() {
    local i word last=$((${#words[@]} - 1))
    for ((i = 1; i < last; i++)); do
        word=${words[i]}
        if ((i == 1)) && [[ " @commands@ " == *" $word "* ]]; then
            mode=$word
            continue
        fi
        case $word in
        --) program=$((i + 1)); return ;;
        --*)
            [[ $mode == any && " @container@ " == *" ${word%%=*} "* ]] && mode=run
            [[ " @valued@ " == *" $word "* ]] && valued=$word ;;
        -?*) _launcher_letters "${word#-}" ;;
        *) program=$i; return ;;
        esac
        [[ ! $valued ]] || ((++i < last)) || return
        valued=
    done
}

# Reads -abc: a letter may decide the mode, and the last may want the next word.
_launcher_letters() { # LETTERS
    local letters=$1 letter wanting
    while [[ $letters ]]; do
        letter=${letters::1} letters=${letters:1}
        [[ $mode == any && "@container_letters@" == *"$letter"* ]] && mode=run
        [[ $mode == any && "@init_letters@" == *"$letter"* ]] && mode=init
        wanting="@valued_init@"
        [[ $mode == run ]] && wanting="@valued_run@"
        [[ $mode == build-initramfs ]] && wanting="@valued_build@"
        if [[ $wanting == *"$letter"* ]]; then
            [[ $letters ]] || valued=${mode/any/init}-$letter
            return
        fi
    done
}

# Offers what compgen finds for the word under the cursor without its prefix, less what bash takes for another word.
_launcher_offer() { # COMPGEN-OPTION...
    local i cut='' breaks=${COMP_WORDBREAKS//[!=:]/}
    [[ ! $breaks ]] || cut=${current%"${current##*["$breaks"]}"}
    mapfile -t COMPREPLY < <(compgen "$@" -- "${current#"$prefix"}")
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=$prefix${COMPREPLY[i]}
        COMPREPLY[i]=${COMPREPLY[i]#"$cut"}
    done
    [[ ${COMPREPLY-} != *[=:] ]] || compopt -o nospace 2>/dev/null
}

# Offers values of a kind.
_launcher_value() { # KIND WORD...
    local kind=$1 value=${current#"$prefix"}
    shift
    case $kind in
    words) _launcher_offer -W "$*" ;;
    signals) _launcher_offer -W "@signals@" ;;
    capabilities) _launcher_offer -W "@capabilities@" ;;
    variables) _launcher_offer -e ;;
    folders) compopt -o dirnames 2>/dev/null ;;
    files) compopt -o default 2>/dev/null ;;
    rewrites)
        case $value in
        *:*) prefix+=${value%%:*}: && _launcher_offer -W "0 @signals@" ;;
        *) _launcher_offer -S : -W "@signals@" ;;
        esac ;;
    places)
        case $value in
        ns:*) compopt -o default 2>/dev/null ;;
        container:*) prefix+=container: && _launcher_offer -W "$(cd /proc && echo [0-9]*)" ;;
        *) _launcher_offer -W "$*" ;;
        esac ;;
    esac
}

# Offers the value of an option, if anything is known about it.
_launcher_value_of() { # OPTION
    case $1 in
@values@
    *) return ;;
    esac
    _launcher_value "$@"
}

# Offers programs, or what the program's own completion does.
_launcher_program() {
    local offset
    for offset in _comp_command_offset _command_offset; do
        declare -F "$offset" >/dev/null || continue
        "$offset" "${at[program]}"
        return
    done
    if ((program < ${#words[@]} - 1)); then
        compopt -o bashdefault -o default 2>/dev/null
    else
        _launcher_offer -c
        [[ $current != */* ]] || compopt -o filenames 2>/dev/null
    fi
}

# The containers that a limit gave a cgroup.
_launcher_containers() {
    find /sys/fs/cgroup -type d -name 'launcher-*' ! -name 'launcher-self-*' 2>/dev/null | sed 's|.*/launcher-||'
}

_launcher() {
    local IFS=$' \t\n' mode=any program=0 valued='' prefix='' current options
    local -a words=() at=()
    COMPREPLY=()
    _launcher_split
    _launcher_scan
    current=${words[-1]}
    case $mode in
    any) options="@any@" ;;
    init) options="@init@" ;;
    run) options="@run@" ;;
    build-initramfs) options="@build@" ;;
    delete) options="--force --help $(_launcher_containers)" ;;
    doctor) options="--json --help" ;;
    esac
    if ((program)); then
        _launcher_program
    elif [[ $valued ]]; then
        _launcher_value_of "$valued"
    elif [[ $current == --*=* ]]; then
        prefix=${current%%=*}=
        _launcher_value_of "${prefix%=}"
    elif [[ $mode == d* || $current == -* ]]; then
        _launcher_offer -W "$options"
    elif [[ ! $current ]]; then
        ((${#words[@]} > 2)) || options="@commands@ $options"
        _launcher_offer -W "$options"
    elif ((${#words[@]} == 2)); then
        _launcher_offer -W "@commands@" -c
    else
        program=$((${#words[@]} - 1))
        _launcher_program
    fi
}

complete -F _launcher launcher
