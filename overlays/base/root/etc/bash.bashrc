# Shells that are not of a login make files as those of one do (profile.d/goldsmith.sh).
umask 027

[ -z "${PS1-}" ] && return
shopt -s checkwinsize
PS1='\u@\h:\w\$ '
