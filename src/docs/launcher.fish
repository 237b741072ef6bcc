# fish completion for launcher; made by `make docs` from the table that launcher itself reads options by.

# Reads the words before the cursor. Prints any, init, run or another command; after it the program and its arguments if
# that has come, nothing but an empty line if the next word is the program.
function __launcher_scan
    set -l mode any
    set -l words (commandline -opc)
    set -e words[1]
    if contains -- "$words[1]" @commands@
        set mode $words[1]
        set -e words[1]
    end
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        switch $word
            case --
                printf '%s\n' $mode "$words[1]" $words[2..]
                return
            case '--*'
                if test $mode = any; and contains -- (string split -m 1 = -- $word)[1] @container@
                    set mode run
                end
                contains -- $word @valued@; and set -e words[1]
            case '-?*'
                for letter in (string sub -s 2 -- $word | string split '')
                    if test $mode = any; and string match -q "*$letter*" -- @container_letters@
                        set mode run
                    else if test $mode = any; and string match -q "*$letter*" -- @init_letters@
                        set mode init
                    end
                    set -l wanting @valued_init@
                    test $mode = run; and set wanting @valued_run@
                    test $mode = build-initramfs; and set wanting @valued_build@
                    if string match -q "*$letter*" -- $wanting
                        string match -q "*$letter" -- $word; and set -e words[1]
                        break
                    end
                end
            case '*'
                printf '%s\n' $mode $word $words
                return
        end
    end
    echo $mode
end

# Whether one of these is the mode, and the program has not come; `first`: no word has.
function __launcher_is
    set -l scan (__launcher_scan)
    if test $argv[1] = first
        test (count (commandline -opc)) = 1
    else
        test (count $scan) = 1; and contains -- $scan[1] $argv
    end
end

# What the program's own completion offers; before it has come, the programs.
function __launcher_program
    set -l program (__launcher_scan)[2..]
    set -l token (commandline -ct)
    if not set -q program[1]; and string match -q -- '-*' $token
        return
    end
    test -n "$program[1]"; or set -e program[1]
    complete -C (string join ' ' -- (string escape -- $program) "$token")
end

# Values of a kind.
function __launcher_value
    set -l value (commandline -ct | string replace -r -- '^(--[a-z-]+=|-[a-z])' '')
    switch $argv[1]
        case words
            printf '%s\n' $argv[2..]
        case signals
            printf '%s\n' @signals@
        case capabilities
            printf '%s\n' @capabilities@
        case variables
            set -xn
        case folders
            __fish_complete_directories "$value"
        case rewrites
            if set -l from (string match -r -- '^.*:' $value)
                printf "$from%s\n" 0 @signals@
            else
                printf '%s:\n' @signals@
            end
        case places
            if set -l path (string replace -f -r -- '^ns:' '' $value)
                complete -C "'' $path" | string replace -r -- '^' ns:
            else if string match -q -- 'container:*' $value
                string replace -f -r -- '^/proc/(\d+)$' 'container:$1' /proc/*
            else
                printf '%s\n' $argv[2..]
            end
    end
end

# The containers that a limit gave a cgroup.
function __launcher_containers
    find /sys/fs/cgroup -type d -name 'launcher-*' ! -name 'launcher-self-*' 2>/dev/null | string replace -r -- '.*/launcher-' ''
end

complete -c launcher -f
@described@
complete -c launcher -n '__launcher_is delete' -s f -l force -d 'kill what still runs'
complete -c launcher -n '__launcher_is delete' -l help -d 'print the help text'
complete -c launcher -n '__launcher_is delete' -a '(__launcher_containers)' -d container
complete -c launcher -n '__launcher_is doctor' -l json -d 'print an object for each check'
complete -c launcher -n '__launcher_is doctor' -l help -d 'print the help text'
@options@
complete -c launcher -n 'not __launcher_is delete doctor' -a '(__launcher_program)'
