#!/bin/sh
# Writes a file as a comment on a pull request, or updates the one that an earlier run has written.
#   comment.sh FILE MARKER
# MARKER tells its comments from others. Needs GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN and
# NUMBER, the pull request's.
set -eu

file=$1
marker="<!-- $2 -->"
repository=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY
body=$(mktemp)
trap 'rm -f "$body"' EXIT

api() {
  # The token is read from standard input: a command line is visible to other processes.
  printf 'header = "Authorization: Bearer %s"\n' "$GITHUB_TOKEN" |
    curl --silent --show-error --fail --config - --header 'Accept: application/vnd.github+json' "$@"
}

# The API takes 65536 characters; what is cut is on the run's page.
{ echo "$marker"; head --bytes 60000 "$file"; } | jq --raw-input --slurp '{body: .}' >"$body"

page=1
found=
while [ -z "$found" ]; do
  comments=$(api "$repository/issues/$NUMBER/comments?per_page=100&page=$page")
  found=$(printf "%s" "$comments" | jq --raw-output --arg marker "$marker" \
    'map(select(.user.type == "Bot" and (.body | startswith($marker)))) | .[0].id // empty')
  [ "$(printf "%s" "$comments" | jq length)" -eq 100 ] || break
  page=$((page + 1))
done

if [ -n "$found" ]; then
  api --output /dev/null --request PATCH --data "@$body" "$repository/issues/comments/$found"
else
  api --output /dev/null --request POST --data "@$body" "$repository/issues/$NUMBER/comments"
fi
