# Writes file IN as the C string NAME into OUT (one line of C a line of text, so that no literal grows too long).
file(STRINGS "${IN}" lines)
set(body "")
foreach(line IN LISTS lines)
  string(REPLACE "\\" "\\\\" line "${line}")
  string(REPLACE "\"" "\\\"" line "${line}")
  string(APPEND body "  \"${line}\\n\"\n")
endforeach()
file(WRITE "${OUT}" "extern const char ${NAME}[];\nconst char ${NAME}[] =\n${body};\n")
