//! Broken configurations: file name, text, and every problem as `line:column what`.

pub const BROKEN: &[(&str, &str, &[&str])] = &[
    ("a.json", "", &["1:1 unexpected end of JSON input"]),
    ("a.json", "{\"version\": 3, \"endpoints\": [", &["1:30 unexpected end of JSON input"]),
    (
        "a.json",
        "{\n  \"version\": 3\n  \"endpoints\": []\n}",
        &["3:3 invalid character '\"' after object key:value pair"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [],}",
        &["1:32 invalid character '}' looking for beginning of object key string"],
    ),
    (
        "a.json",
        "{'version': 3}",
        &["1:2 invalid character '\\'' looking for beginning of object key string"],
    ),
    (
        "a.json",
        "{\n// nothing\n\"version\": 3}",
        &["2:1 invalid character '/' looking for beginning of object key string"],
    ),
    (
        "a.json",
        "[{\"version\": 3}]",
        &["1:1 json: cannot unmarshal array into Go value of type map[string]interface {}"],
    ),
    (
        "a.json",
        "42",
        &["1:1 json: cannot unmarshal number into Go value of type map[string]interface {}"],
    ),
    ("a.json", "null", &["1:1 unsupported version: 0 (want: 3)"]),
    ("a.json", "{\n  \"endpoints\": []\n}", &["1:1 unsupported version: 0 (want: 3)"]),
    ("a.json", "{\n  \"version\": 2\n}", &["2:14 unsupported version: 2 (want: 3)"]),
    (
        "a.json",
        "{\"version\": \"three\"}",
        &[
            "1:13 'version' cannot parse value as 'int': strconv.ParseInt: invalid syntax: \"three\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"port\": \"http\"}",
        &["1:24 'port' cannot parse value as 'int': strconv.ParseInt: invalid syntax: \"http\""],
    ),
    (
        "a.json",
        "{\"version\": 3, \"port\": 99999}",
        &["1:24 listen tcp: address 99999: invalid port"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"timeout\": \"soon\"}",
        &["1:27 'timeout' time: invalid duration \"soon\""],
    ),
    (
        "a.json",
        "{\"version\": 3, \"timeout\": \"10\"}",
        &["1:27 'timeout' time: missing unit in duration \"10\""],
    ),
    (
        "a.json",
        "{\"version\": 3, \"timeout\": \"-5s\"}",
        &["1:27 the duration is negative: every request would time out at once"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"listen_ip\": \"nowhere\"}",
        &["1:29 invalid ip address nowhere"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"host\": [\"http://a\", \"http://a/b/c\", \"ftp://x\"]}",
        &[
            "1:37 host http://a/b/c not valid: invalid host",
            "1:53 host ftp://x not valid: invalid host",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"host\": {\"a\": 1}}",
        &[
            "1:24 'host[0]' expected type 'string', got unconvertible type 'map[string]interface {}'",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"name\": [\"a\"]}",
        &["1:24 'name' expected type 'string', got unconvertible type '[]interface {}'"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"debug_endpoint\": \"yes\"}",
        &[
            "1:34 'debug_endpoint' cannot parse value as 'bool': strconv.ParseBool: invalid syntax: \"yes\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"extra_config\": [1]}",
        &[
            "1:33 'extra_config[0]' expected type 'config.ExtraConfig', got unconvertible type 'float64'",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"plugin\": \"x\", \"client_tls\": []}",
        &[
            "1:26 'plugin' expected a map or struct, got \"string\"",
            "1:45 'client_tls' expected a map or struct, got \"slice\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [1, null, \"x\"]}",
        &[
            "1:30 'endpoints[0]' expected a map or struct, got \"float64\"",
            "1:33 'endpoints[1]' expected a map or struct, got \"nil\"",
            "1:39 'endpoints[2]' expected a map or struct, got \"string\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/lonely\"}]}",
        &["1:30 ignoring the ' /lonely' endpoint, since it has 0 backends defined!"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a\", \"method\": \"POST\", \"backend\": []}]}",
        &["1:78 ignoring the 'POST /a' endpoint, since it has 0 backends defined!"],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a\", \"backend\": [\"x\"]}]}",
        &["1:61 'endpoints[0].backend[0]' expected a map or struct, got \"string\""],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [\n {\"endpoint\": \"/__debug/x\", \"backend\": {\"url_pattern\": \"/a\"}},\n {\"endpoint\": \"/a/*rest\", \"backend\": {\"url_pattern\": \"/a\"}}]}",
        &[
            "2:15 ignoring the ' /__debug/x' endpoint, since it is invalid!!!",
            "3:15 ignoring the ' /a/*rest' endpoint, since it is invalid!!!",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a/{x}\", \"backend\": [{\"url_pattern\": \"/{x}/{y}\"}]}]}",
        &[
            "1:81 undefined output param 'y'! endpoint: GET /a/:x, backend: 0. input: [x], output: [x y]",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a/{x}\", \"backend\": [{}, {\"url_pattern\": \"/{x}/{y}/{z}\"}]}]}",
        &[
            "1:85 input and output params do not match. endpoint: GET /a/:x, backend: 1. input: [x], output: [x y z]",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a\", \"output_encoding\": \"no-op\", \"backend\": [{}, {}]}]}",
        &[
            "1:68 can not use NoOp encoding with more than one backends connected to the same endpoint",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"output_encoding\": \"no-op\", \"endpoints\": [{\"endpoint\": \"/a\", \"backend\": [{}, {}]}]}",
        &[
            "1:58 can not use NoOp encoding with more than one backends connected to the same endpoint",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"endpoints\": [{\"endpoint\": \"/a\", \"backend\": [{\"mapping\": \"x\", \"is_collection\": \"maybe\", \"timeout\": \"zz\"}]}]}",
        &[
            "1:73 'endpoints[0].backend[0].mapping' expected type 'map[string]string', got unconvertible type 'string'",
            "1:95 'endpoints[0].backend[0].is_collection' cannot parse value as 'bool': strconv.ParseBool: invalid syntax: \"maybe\"",
            "1:115 'endpoints[0].backend[0].timeout' time: invalid duration \"zz\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"async_agent\": [{\"name\": \"a\", \"connection\": {\"health_interval\": \"x\"}, \"backend\": [{\"host\": [\"a/b\"]}]}]}",
        &[
            "1:32 host a/b not valid: invalid host",
            "1:80 'async_agent[0].connection.health_interval' time: invalid duration \"x\"",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"version\": 2,\n \"endpiont\": 1, \"@comment\": 2, \"url_pattern\": \"/\"}",
        &[
            "1:2 key \"version\" is written twice; the one of line 1 counts",
            "1:27 unsupported version: 2 (want: 3)",
            "2:2 unknown key \"endpiont\": it has no effect",
            "2:32 unknown key \"url_pattern\": it has no effect",
        ],
    ),
    (
        "a.json",
        "{\"version\": 3, \"extra_config\": {\"proxy\": {\"a\": 1, \"a\": 2}, \"github.com/devopsfaith/krakend/proxy\": {}}}",
        &[
            "1:43 key \"a\" is written twice; the one of line 1 counts",
            "1:100 \"github.com/devopsfaith/krakend/proxy\" has no effect: \"proxy\", its current name, is there as well",
        ],
    ),
    (
        "a.yaml",
        "version: 3\nendpoints:\n\t- endpoint: /a\n",
        &["3:2 yaml: line 3: tabs disallowed within this context (block indentation)"],
    ),
    (
        "a.yaml",
        "version: 3\nendpoints:\n  - endpoint: /a\n backend: []\n",
        &["4:2 yaml: line 4: while parsing a block mapping, did not find expected key"],
    ),
    ("a.yaml", "version: 2\n", &["1:10 unsupported version: 2 (want: 3)"]),
    (
        "a.yaml",
        "version: 3\nendpoints:\n  - endpoint: /lonely\n",
        &["3:5 ignoring the ' /lonely' endpoint, since it has 0 backends defined!"],
    ),
    (
        "a.yaml",
        "- a\n",
        &["1:1 yaml: unmarshal errors: cannot unmarshal !!seq into map[string]interface {}"],
    ),
    ("a.yaml", "", &["1:1 unsupported version: 0 (want: 3)"]),
    (
        "a.toml",
        "version = \n",
        &["1:11 toml: string values must be quoted, expected literal string"],
    ),
    ("a.toml", "version = 3\nversion = 3\n", &["2:1 toml: duplicate key"]),
    (
        "a.toml",
        "version = 3\n[[endpoints]]\nendpoint = \"/a\"\ntimeout = \"1\"\n",
        &[
            "2:1 ignoring the ' /a' endpoint, since it has 0 backends defined!",
            "4:11 'endpoints[0].timeout' time: missing unit in duration \"1\"",
        ],
    ),
    ("a.hcl", "version = 3\n", &["1:1 invalid character 'v' looking for beginning of value"]),
];
